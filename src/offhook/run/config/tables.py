"""The tables of `offhook.toml` and their keys. docs/configuration.md says what each means, and a test holds it to that.

sip · web · trunks.NAME · services.NAME · users.NAME · routes · dial · security · stir · models · ambience; and
max_calls, drain_s, media_threads
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from offhook.carriers.numbers import NumberFormat
from offhook.carriers.trunks import CalledFrom, Shown, Transport, profiles
from offhook.run.config.words import (
    CodecName,
    Country,
    Ha1,
    HeaderName,
    HeaderValue,
    HttpAddress,
    Listen,
    Nameserver,
    Network,
    PortRange,
    ProfileName,
    PublicUrl,
    Rule,
    WebOrigin,
)

Cap = Annotated[int, Field(ge=1, le=20_000)]
Rate = Annotated[float, Field(gt=0, le=10_000)]
Minutes = Annotated[float, Field(ge=0, le=10_000_000)]
Refusal = Annotated[int, Field(ge=400, le=699)]


def _one_model(choice: object) -> object:
    if isinstance(choice, list):
        names = cast("list[object]", choice)
        if len(names) != 1:
            raise ValueError("several in failover order are not in this version; name one")
        return names[0]
    return choice


def _several(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _secrets(given: object) -> object:
    return {"MD5": given} if isinstance(given, str) else given


ModelName = Annotated[str, BeforeValidator(_one_model)]


Digest = Literal["MD5", "SHA-256", "SHA-512-256"]
Secrets = Annotated[dict[Digest, Ha1], BeforeValidator(_secrets)]
"""H(user:realm:password) in hex, by its algorithm; as a text alone it is MD5's."""


class Table(BaseModel):
    """A table in which a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Table):
    """Certificates: ours with its key, whose clients must show one, and who vouches for the far ends that we call."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    ca: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"

    @model_validator(mode="after")
    def _whole(self) -> Tls:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("a certificate and its key go together: give both")
        return self


class Sip(Table):
    """Where and how we speak SIP."""

    listen: list[Listen] = Field(default=["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"], min_length=1)
    external_address: str = "auto"
    local_networks: list[Network] = []
    stun: str | None = Field(default=None, pattern=r"^[^:\s]+(:[0-9]{1,5})?$")
    tls: Tls = Tls()
    web_origins: list[WebOrigin] = []
    nameservers: list[Nameserver] = []
    rtp_ports: PortRange = (10000, 19999)
    allow: list[Network] | None = None
    user: str = "offhook"
    realm: HeaderValue = Field(default="offhook", min_length=1, max_length=100)
    digests: list[Digest] = Field(default=["MD5"], min_length=1)
    codecs: list[CodecName] = Field(default=["PCMU", "PCMA"], min_length=1)
    send: CodecName | None = None
    srtp: Literal["auto", "off", "optional", "required", "dtls"] = "auto"
    ring_s: float = Field(default=60.0, gt=0, le=300)
    session_expires_s: int = Field(default=1800, ge=0, le=86_400)
    min_se_s: int = Field(default=90, ge=90, le=86_400)


class Web(Table):
    """The door for web pages: a page with a button, and calls from pages by HTTP."""

    listen: HttpAddress | None = None
    allow: list[Network] | None = None
    origins: list[WebOrigin] = []
    certificate: Path | None = None
    key: Path | None = None
    ice: Literal["lite", "full"] = "lite"
    public_url: PublicUrl | None = None
    called: str = Field(default="web", pattern=r"^[A-Za-z0-9+_.-]{1,64}$")
    calls: Cap = 20

    @model_validator(mode="after")
    def _whole(self) -> Web:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("a certificate and its key go together: give both")
        return self


class Dial(Table):
    """What may be dialled and transferred to, and how much of it."""

    allow: list[Rule] = []
    trunks: list[str] | None = None
    calls: Cap | None = None
    calls_a_second: Rate | None = None
    minutes_a_day: Minutes | None = None


class Trunk(Table):
    """One way to and from telephone numbers. What a key leaves open, its profile fills in."""

    profile: ProfileName = "generic"
    address: Annotated[list[str], BeforeValidator(_several), Field(max_length=8)] = []
    transport: Transport | None = None
    username: str = ""
    password: SecretStr = SecretStr("")
    ha1: Secrets = {}
    auth_username: str = ""
    realm: str = ""
    register_: bool | None = Field(default=None, alias="register")
    expires_s: int = Field(default=3600, ge=60, le=86_400)
    outbound_proxy: str | None = None
    networks: list[Network] = []
    codecs: list[CodecName] = []
    srtp: Literal["off", "optional", "required", "dtls"] | None = None
    dtx: bool = False
    dtmf: Literal["rtp", "info"] = "rtp"
    hangup_tones: bool = False
    country: Country | None = None
    number_format: NumberFormat = "e164"
    prefix: str = Field(default="", pattern=r"^[0-9*#]{0,8}$")
    caller: str = Field(default="", pattern=r"^\+?[0-9]{0,20}$")
    caller_name: HeaderValue = ""
    withhold: bool = False
    identity: list[Shown] = []
    headers: dict[HeaderName, HeaderValue] = {}
    called_from: list[CalledFrom] = Field(default=["request", "to"], min_length=1)
    trusts: list[Literal["identity", "diversion", "verstat"]] = []
    verstat_header: HeaderName | None = None
    refer: bool = True
    shows: Literal["own", "caller"] = "own"
    diversion: bool = True
    contact: Literal["keep", "rewrite"] = "keep"
    min_se_s: int | None = Field(default=None, ge=90, le=7200)
    reliable: bool = False
    refuse: Refusal = 503
    retry: list[Refusal] = []
    codes: dict[str, str] = {}
    calls: Cap | None = None
    calls_a_second: Rate | None = None
    minutes_a_day: Minutes | None = None
    emergency: bool = False

    @model_validator(mode="before")
    @classmethod
    def _over_its_profile(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        keys = cast("dict[str, Any]", given)
        if keys.get("password") and keys.get("ha1"):
            raise ValueError("either a password or its ha1")
        known = profiles().get(str(keys.get("profile", "generic")), {})
        return {**known, **keys}


class User(Table):
    """A softphone that registers at us, by its name in `[users]`."""

    password: SecretStr = Field(default=SecretStr(""), min_length=8)
    ha1: Secrets = {}
    display: HeaderValue = ""
    calls: Cap = 10

    @model_validator(mode="after")
    def _proves(self) -> User:
        if bool(self.password.get_secret_value()) is bool(self.ha1):
            raise ValueError("either a password or its ha1")
        return self


class Stir(Table):
    """Whose signatures are believed, what a caller must show, and what our own calls are signed with."""

    roots: Path | None = None
    require: Literal["", "valid", "A", "B", "C"] = ""
    key: Path | None = None
    certificate_url: str = ""
    attest: Literal["A", "B", "C"] = "A"

    @model_validator(mode="after")
    def _whole(self) -> Stir:
        if (self.key is None) is not (self.certificate_url == ""):
            raise ValueError("a signing key and the URL of its certificate go together: give both")
        if self.require and self.roots is None:
            raise ValueError("a signature can only be required where roots says whose: set stir.roots")
        return self


def _user(given: object) -> object:
    return {"password": given} if isinstance(given, str) else given


class Route(Table):
    """Who answers a number."""

    agent: str
    trunk: str = ""
    language: str = ""
    calls: Cap | None = None
    calls_a_caller: Cap | None = None


def _routes(given: object) -> object:
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    return [{"agent": one} if isinstance(one, str) else one for one in listed]


class Security(Table):
    """What is done about attacks, and where they are written down."""

    log: Path | None = None
    format: Literal["keys", "json"] = "keys"
    ban_s: float = Field(default=600.0, ge=0, le=86_400)


class Models(Table):
    """Which models listen, think and speak; nothing: the local ones. Names as in Pydantic AI, or a URL."""

    llm: ModelName = "local"
    stt: ModelName = "local"
    tts: ModelName = "local"
    key: SecretStr | None = None
    voice: str | None = None


class Under(Table):
    """What sounds under calls whose agent says nothing of it: a WAV file, or the name of a built-in."""

    sound: Path | None = None
    level_db: float = Field(default=-12.0, ge=-60, le=0)
    duck_db: float = Field(default=10.0, ge=0, le=60)


class Config(BaseSettings):
    """The whole file. `max_calls` None: what the models were measured to carry, 1000 where none are local."""

    model_config = SettingsConfigDict(env_prefix="OFFHOOK__", env_nested_delimiter="__", extra="forbid", frozen=True)

    sip: Sip = Sip()
    routes: dict[str, Annotated[list[Route], BeforeValidator(_routes)]] = {}
    web: Web = Web()
    dial: Dial = Dial()
    trunks: dict[str, Trunk] = {}
    services: dict[str, dict[str, Any]] = {}
    users: dict[str, Annotated[User, BeforeValidator(_user)]] = {}
    security: Security = Security()
    stir: Stir = Stir()
    models: Models = Models()
    ambience: Under = Under()
    max_calls: int | None = Field(default=None, ge=1, le=20_000)
    drain_s: float = Field(default=600.0, ge=0, le=86_400)
    media_threads: int = Field(default=1, ge=1, le=64)
