"""The configuration: what wins, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from offhook.call import Ambience
from offhook.carriers.trunks import profiles
from offhook.core.codecs import PCMA, PCMU
from offhook.core.errors import ConfigError, NotAllowed
from offhook.policy.admission import Kind, Source
from offhook.run.config import Config, address_note, host_rules, load, parse_address, parse_listen, routes_of

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
    assert rules.allow == ("192.168.0.0/16",)
    assert "+1" in rules.dial
    (trunk,) = rules.trunks
    assert (trunk.name, str(trunk.uri), trunk.networks) == ("main", "sip:gateway.example:5080", ("203.0.113.0/24",))
    assert rules.max_calls == 7
    assert rules.external is None
    assert [(route.number, route.agent) for route in routes_of(config)] == [
        ("+15551234567", "app:agent"),
        ("*", "app:survey"),
    ]


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
    assert rules.allow == ("127.0.0.0/8", "::1/128")
    assert rules.dial == ("sip:*@127.0.0.1", "sip:*@localhost")


def test_the_file_of_this_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert load().routes["*"][0].agent == "app:survey"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sipp = {}", "sipp: there is no such key"),
        ("sip = { lisen = [] }", "sip.lisen: there is no such key"),
        ("[trunks.main]\nuser = 'x'", "trunks.main.user: there is no such key"),
        ("[trunks.main]\nprofile = 'telnix'", "trunks.main.profile: 'telnix' is none of generic, telnyx"),
        ("[trunks.main]\nnumber_format = 'e163'", "trunks.main.number_format"),
        ("[trunks.main]\ncountry = 'Germany'", "trunks.main.country: 'Germany' is no country"),
        ("[trunks.main]\nheaders = { 'X-A' = \"a\\r\\nb\" }", "trunks.main.headers.X-A: a header with a line break"),
        ("[trunks.main]\nrefuse = 200", "trunks.main.refuse"),
        ("[users]\nalice = 'short'", "users.alice.password"),
        ("users = { alice = { password = 'long enough', passwd = 'x' } }", "users.alice.passwd: there is no such key"),
        ("[sip.tls]\ncertificate = 'c.pem'", "sip.tls: a certificate and its key go together"),
        ("routes = { '*' = { agnet = 'a:b' } }", "routes.*.0.agent: Field required"),
        ("security = { ban = 3 }", "security.ban: there is no such key"),
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
        ("sip = { codecs = ['AMR'] }", "is none of opus, G722, PCMU, PCMA"),
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
    assert "records: not in this version (recording)" in told
    assert "dial.alow: there is no such key" in told
    assert "secret" not in told
    assert "\n" not in told


def test_an_account_is_five_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNK_PASSWORD", "s3cret")
    file = tmp_path / "offhook.toml"
    file.write_text(
        '[trunks.main]            # five lines: an account\nprofile = "telnyx"\nusername = "luigi"\n'
        'password = "${TRUNK_PASSWORD}"\n'
    )
    rules = host_rules(load(file), max_calls=1)
    (trunk,) = rules.trunks
    assert (str(trunk.uri), trunk.register, trunk.username, trunk.password) == (
        "sip:sip.telnyx.com",
        True,
        "luigi",
        "s3cret",
    )
    assert "s3cret" not in repr(rules)
    assert trunk.believed.identity
    # Who has a trunk and says nothing of listening wants to be reached by it, and by nobody else.
    assert rules.listen[0] == ("udp", ("0.0.0.0", 5060))
    door = rules.admission()
    assert door.source("192.76.120.10") == Source(Kind.TRUNK, "main")
    assert not door.hears(0, "198.51.100.1")


def test_a_key_of_the_file_wins_over_the_profile() -> None:
    told = {"main": {"profile": "telnyx", "username": "luigi", "codecs": ["PCMA"], "trusts": [], "register": False}}
    (trunk,) = host_rules(Config(trunks=told), max_calls=1).trunks  # type: ignore[arg-type]
    assert (trunk.codecs, trunk.register, trunk.believed.identity) == ((PCMA,), False, False)
    assert trunk.number_format == "e164"


@pytest.mark.parametrize("name", profiles())
def test_every_profile_is_one_that_is_taken(name: str) -> None:
    keys = {"profile": name, "address": "sip:gateway.example", "username": "luigi", "password": "secret"}
    (trunk,) = host_rules(Config(trunks={"main": keys}), max_calls=1).trunks  # type: ignore[arg-type]
    assert trunk.profile == name
    assert str(trunk.target("+4930123456")).startswith("sip:")


def test_a_trunk_that_only_calls_us_needs_no_address_but_networks() -> None:
    (trunk,) = host_rules(Config(trunks={"aws": {"profile": "amazon-connect"}}), max_calls=1).trunks  # type: ignore[arg-type]
    assert trunk.uri is None
    with pytest.raises(NotAllowed, match="no address to call"):
        trunk.target("+15551234567")


def test_a_route_may_say_more_than_its_agent(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(
        "[trunks.de]\naddress = 'sip:192.0.2.1'\ncountry = 'DE'\n[routes]\n"
        "'030 123456' = { agent = 'app:hotline', language = 'de', calls = 5, calls_a_caller = 1 }\n"
        "'+1555*' = [{ agent = 'app:us', trunk = 'de' }, 'app:anyone']\n"
    )
    one, two, three = routes_of(load(file))
    assert (one.agent, one.number, one.language, one.calls, one.calls_a_caller) == (
        "app:hotline",
        "+4930123456",
        "de",
        5,
        1,
    )
    assert (two.agent, two.trunk, three.agent, three.number) == ("app:us", "de", "app:anyone", "+1555*")


def test_a_route_and_dialling_name_trunks_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r"routes\.\*: there is no trunk main"):
        routes_of(Config(routes={"*": {"agent": "a:b", "trunk": "main"}}))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"dial\.trunks: there is no trunk main"):
        host_rules(Config(dial={"trunks": ["main"]}), max_calls=1)  # type: ignore[arg-type]


def test_users_may_register_from_anywhere_and_nobody_else_is_let_in() -> None:
    rules = host_rules(Config(users={"alice": "correct horse"}), max_calls=1)  # type: ignore[arg-type]
    (alice,) = rules.users
    assert (alice.name, alice.password) == ("alice", "correct horse")
    assert "correct horse" not in repr(rules)
    door = rules.admission()
    assert door.hears(0, "198.51.100.1")
    assert door.source("198.51.100.1") == Source(Kind.UNKNOWN)


def test_tls_needs_a_certificate() -> None:
    sip = {"listen": ["tls://127.0.0.1:5061"]}
    with pytest.raises(ConfigError, match=r"sip\.tls\.certificate"):
        host_rules(Config(sip=sip), max_calls=1)  # type: ignore[arg-type]
    keys = {**sip, "tls": {"certificate": "c.pem", "key": "k.pem"}}
    assert host_rules(Config(sip=keys), max_calls=1).tls.certificate == Path("c.pem")  # type: ignore[arg-type]


def test_one_model_of_a_list_is_that_model(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text("models = { llm = ['openai:gpt-x'] }")
    models = load(file).models
    assert (models.llm, models.stt, models.tts) == ("openai:gpt-x", "local", "local")


def test_an_address_that_is_asked_to_be_found_out_is_told_how_far_it_will_be() -> None:
    public = {"listen": ["udp://0.0.0.0:5060"], "allow": ["10.0.0.0/8"]}
    told = address_note(Config(sip={**public, "external_address": "auto"}))  # type: ignore[arg-type]
    assert "not found out without a STUN server" in told
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
    for address in ("gateway.example", "tel:+1555", "sip:", "sip:gateway.example;transport=sctp", "sip:a?b=c"):
        with pytest.raises(ConfigError, match=r"trunks\.main\.address"):
            host_rules(Config(trunks={"main": {"address": address}}), max_calls=1)  # type: ignore[arg-type]


def test_codecs_keep_their_order() -> None:
    audio = host_rules(Config(sip={"codecs": ["pcma", "PCMU"], "send": "pcmu"}), max_calls=1).audio  # type: ignore[arg-type]
    assert (audio.codecs, audio.send) == ((PCMA, PCMU), PCMU)


def test_addresses_are_read_as_they_are_typed() -> None:
    assert parse_address("localhost:5060") == ("127.0.0.1", 5060)
    assert parse_listen("tcp://127.0.0.1:0") == ("tcp", ("127.0.0.1", 0))
    assert parse_listen("tls://[::]:5061") == ("tls", ("::", 5061))
    for text in ("5060", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "::1:5060", "[127.0.0.1]:5060", "host:5060"):
        with pytest.raises(ValueError, match=r"."):
            parse_address(text)


@pytest.mark.parametrize(
    ("text", "server"),
    [("stun.example.com", ("stun.example.com", 3478)), ("192.0.2.3:5000", ("192.0.2.3", 5000))],
)
def test_a_stun_server_has_the_usual_port_unless_it_says_another(text: str, server: tuple[str, int]) -> None:
    config = Config(sip={"stun": text})  # type: ignore[arg-type]
    assert host_rules(config, max_calls=1).stun == server
    assert address_note(config) == ""


def test_what_sounds_under_calls_is_read_before_there_are_any(tmp_path: Path) -> None:
    assert host_rules(Config(), max_calls=1).ambience is None
    given = Config(ambience={"sound": "room", "level_db": -20})  # type: ignore[arg-type]
    assert host_rules(given, max_calls=1).ambience == Ambience(Path("room"), -20.0, 10.0)
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    for file, why in (("none.wav", "No such file.*or a built-in: room"), ("song.mp3", "is no WAV file")):
        with pytest.raises(ConfigError, match=rf"^ambience\.sound: .*{why}"):
            host_rules(Config(ambience={"sound": str(tmp_path / file)}), max_calls=1)  # type: ignore[arg-type]
