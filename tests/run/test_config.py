"""The configuration: what wins, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from offhook.core.codecs import PCMA, PCMU
from offhook.core.errors import ConfigError
from offhook.run.config import Config, address_note, host_rules, load, parse_address, parse_listen

EXAMPLE = """
sip = { listen = ["udp://0.0.0.0:5070"], allow = ["192.168.0.0/16"], rtp_ports = [20000, 20999] }
routes = { "+15551234567" = "app:agent", "*" = "app:survey" }
dial = { allow = ["+1", "sip:*@pbx.example"] }
[trunks.main]
address = "sip:gateway.example:5080"
networks = ["203.0.113.0/24"]
[models]
llm = "openai:gpt-x"
key = "${MODEL_KEY}"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_KEY", "s3cret")
    path = tmp_path / "offhook.toml"
    path.write_text(EXAMPLE)
    return path


def test_the_file_says_where_an_agent_runs(file: Path) -> None:
    config = load(file)
    rules = host_rules(config, max_calls=7)
    assert rules.listen == (("udp", ("0.0.0.0", 5070)),)
    assert rules.allow == ("192.168.0.0/16", "203.0.113.0/24")
    assert "+1" in rules.dial
    assert str(rules.trunk) == "sip:gateway.example:5080"
    assert rules.max_calls == 7
    assert rules.external is None
    assert config.routes["*"] == "app:survey"


def test_a_secret_comes_from_the_environment_and_is_never_printed(file: Path) -> None:
    models = load(file).models
    assert models.key is not None
    assert models.key.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(models)


def test_a_variable_that_is_not_set_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_KEY")
    with pytest.raises(ConfigError, match=r"models\.key: the environment variable MODEL_KEY is not set"):
        load(file)


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(file).sip.user == "offhook"
    monkeypatch.setenv("OFFHOOK__SIP__USER", "from-environment")
    assert load(file).sip.user == "from-environment"
    config = load(file, {"sip": {"user": "from-flags"}})
    assert config.sip.user == "from-flags"
    assert config.sip.rtp_ports == (20000, 20999)  # what no flag names stays as it was


def test_without_a_file_it_is_this_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = host_rules(load(), max_calls=1)
    assert rules.listen == (("udp", ("127.0.0.1", 5060)), ("tcp", ("127.0.0.1", 5060)))
    assert rules.allow == ("127.0.0.0/8",)
    assert rules.dial == ("sip:*@127.0.0.1", "sip:*@localhost")


def test_the_file_of_this_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert load().routes["*"] == "app:survey"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sipp = {}", "sipp: there is no such key"),
        ("sip = { lisen = [] }", "sip.lisen: there is no such key"),
        ("[trunks.main]\nuser = 'x'", "trunks.main.user: there is no such key"),
        ("[trunks.main]\nnetworks = []", "trunks.main.address: Field required"),
        ("sip = { listen = ['tls://0.0.0.0:5061'] }", "tls is not in this version"),
        ("sip = { listen = ['http://0.0.0.0:5061'] }", "is not like udp://127.0.0.1:5060"),
        ("sip = { listen = [] }", "sip.listen"),
        ("sip = { rtp_ports = [20000, 10000] }", "sip.rtp_ports: 20000 to 10000 holds no pair"),
        ("sip = { rtp_ports = [0, 9] }", "sip.rtp_ports"),
        ("sip = { rtp_ports = [20001, 20002] }", "sip.rtp_ports"),
        ("sip = { rtp_ports = [60000, 70000] }", "sip.rtp_ports"),
        ("sip = { codecs = [] }", "sip.codecs"),
        ("dial = { allow = [''] }", "dial.allow.0: '' is neither"),
        ("dial = { allow = ['anyone'] }", "dial.allow.0: 'anyone' is neither"),
        ("drain_s = nan", "drain_s"),
        ("models = { llm = ['a:b', 'c:d'] }", "models.llm: several in failover order are not in this version"),
        ("models = { stt = [] }", "models.stt: several"),
        ("sip = { listen = ['udp://example.org:5060'] }", "sip.listen.0"),
        ("sip = { codecs = ['G722'] }", "is none of PCMU, PCMA"),
        ("sip = { allow = ['10.0.0.1/8'] }", "sip.allow.0"),
        ("max_calls = 0", "max_calls"),
        ("routes = 3", "routes"),
        ("sip = {", "offhook.toml"),
    ],
)
def test_what_can_not_work_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_later_version_brings_is_told_in_one_line_apart_from_typos(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(
        "dial = { minutes_a_day = 600, alow = [] }\nrecords = { consent = 'notice', keep_days = 30 }\n"
        "[trunks.main]\nprofile = 'telnyx'\nusername = 'luigi'\npassword = 'secret'\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(file)
    told = str(refused.value)
    assert "dial.minutes_a_day: not in this version (limits of dialling)" in told
    assert "records: not in this version (recording)" in told
    assert "trunks.main.profile, trunks.main.username, trunks.main.password: not in this version (registering" in told
    assert "dial.alow: there is no such key" in told
    assert "Field required" not in told, "the account is what is wrong, not the address that it would bring"
    assert "secret" not in told
    assert "\n" not in told


def test_one_model_of_a_list_is_that_model(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text("models = { llm = ['openai:gpt-x'] }")
    models = load(file).models
    assert (models.llm, models.stt, models.tts) == ("openai:gpt-x", "local", "local")


def test_an_address_that_is_asked_to_be_found_out_is_told_how_far_it_will_be() -> None:
    public = {"listen": ["udp://0.0.0.0:5060"], "allow": ["10.0.0.0/8"]}
    told = address_note(Config(sip={**public, "external_address": "auto"}))  # type: ignore[arg-type]
    assert "not found out in this version" in told
    assert address_note(Config(sip=public)) == ""  # type: ignore[arg-type]
    assert address_note(Config(sip={**public, "external_address": "203.0.113.9"})) == ""  # type: ignore[arg-type]
    assert address_note(Config(sip={"external_address": "auto"})) == ""  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("listen", ["udp://0.0.0.0:5060", "tcp://192.168.1.5:5060"])
def test_a_phone_open_to_strangers_is_not_opened(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"sip\.allow"):
        host_rules(Config(sip={"listen": ["udp://127.0.0.1:5060", listen]}), max_calls=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more", [{"sip": {"allow": ["10.0.0.0/8"]}}, {"trunks": {"main": {"address": "sip:gateway.example"}}}]
)
def test_it_is_opened_once_someone_may_call(more: dict[str, dict[str, object]]) -> None:
    sip = {"listen": ["udp://0.0.0.0:5060"], **more.pop("sip", {})}
    assert host_rules(Config(sip=sip, **more), max_calls=1).listen  # type: ignore[arg-type]


def test_an_address_to_advertise_must_be_one() -> None:
    assert host_rules(Config(sip={"external_address": "203.0.113.9"}), max_calls=1).external == "203.0.113.9"  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="external_address"):
        host_rules(Config(sip={"external_address": "example.org"}), max_calls=1)  # type: ignore[arg-type]


def test_a_trunk_needs_a_sip_address() -> None:
    for address in (
        "gateway.example",
        "tel:+1555",
        "sip:",
        "sips:gateway.example",
        "sip:gateway.example;transport=tls",
    ):
        with pytest.raises(ConfigError, match=r"trunks\.main\.address"):
            host_rules(Config(trunks={"main": {"address": address}}), max_calls=1)  # type: ignore[arg-type]


def test_codecs_keep_their_order() -> None:
    audio = host_rules(Config(sip={"codecs": ["pcma", "PCMU"], "send": "pcmu"}), max_calls=1).audio  # type: ignore[arg-type]
    assert (audio.codecs, audio.send) == ((PCMA, PCMU), PCMU)


def test_addresses_are_read_as_they_are_typed() -> None:
    assert parse_address("localhost:5060") == ("127.0.0.1", 5060)
    assert parse_listen("tcp://127.0.0.1:0") == ("tcp", ("127.0.0.1", 0))
    for text in ("5060", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "[::1]:5060", "host:5060"):
        with pytest.raises(ValueError, match=r"."):
            parse_address(text)
