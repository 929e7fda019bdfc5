"""The command line. Every command imports what it needs when it runs, so that `offhook --help` answers at once.

Exit codes: 0 done, 1 it could not be done (one line on stderr says why), 2 the command line is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import typer

_T = TypeVar("_T")

app = typer.Typer(
    name="offhook",
    help="Voice agents on the telephone network.",
    epilog="A first call: offhook demo. An agent of your own: offhook serve app:agent, then phone sip:127.0.0.1.",
    no_args_is_help=True,
    add_completion=False,
    # Rich's help costs half a second to load, more than all the rest together.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it at run time)
    typer.Option("--config", metavar="FILE", help="The configuration (default: offhook.toml here, if it is there)."),
]
EventsFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--events", metavar="FILE", help="Append what happens in the calls, one JSON object a line."),
]
SipAddress = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--sip",
        metavar="HOST:PORT",
        help="Where to take SIP, UDP and TCP (default: 127.0.0.1:5060; for a call, any free port).",
    ),
]
HttpDoor = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--http", metavar="HOST:PORT", help="Where a page with a call button is (default: none is served)."),
]
PublicUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--public", metavar="URL", help="Where services find us from outside, as in https://agent.example."),
]
Carriers = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--carrier", metavar="NAME", help="Take the calls of this service alone (default: of all in the file)."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same run.")]


def say(line: str) -> None:
    """Tell a person something, on stderr."""
    print(f"{paint('offhook:', '1')} {line}", file=sys.stderr, flush=True)


def paint(text: str, code: str) -> str:
    """Colour text where the terminal shows it (see no-color.org)."""
    colourful = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return f"\033[{code}m{text}\033[0m" if colourful else text


def done(work: Callable[[], _T]) -> _T:
    """Do some work; what offhook raises on purpose becomes one line on stderr and exit code 1."""
    from offhook.core.errors import OffhookError

    try:
        return work()
    except OffhookError as error:
        print(f"{paint('offhook:', '1;31')} {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def settings(
    config: Path | None, sip: str | None, http: str | None = None, public: str | None = None, **flags: Any
) -> Any:
    """Read the configuration under the flags of a command line."""
    from offhook.core.errors import ConfigError
    from offhook.run.config import load, parse_address
    from offhook.sip.grammar import write_host_port

    if sip is not None:
        try:
            host, port = parse_address(sip)
        except ValueError as error:
            raise ConfigError(f"--sip: {error}") from None
        where = write_host_port(host, port)
        flags["sip"] = {"listen": [f"udp://{where}", f"tcp://{where}"]}
    if http is not None:
        try:
            parse_address(http)
        except ValueError as error:
            raise ConfigError(f"--http: {error}") from None
        flags["web"] = {"listen": http}
    if public is not None:
        flags["web"] = {**flags.get("web", {}), "public_url": public}
    return load(config, flags)


@app.command(epilog="Example: offhook serve app:agent --sip 192.168.1.5:5060 --events calls.jsonl")
def serve(
    agent: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="MODULE:AGENT", help="Who answers (default: routes of the file, else a receptionist)."),
    ] = None,
    config: ConfigFile = None,
    sip: SipAddress = None,
    http: HttpDoor = None,
    carrier: Carriers = None,
    public: PublicUrl = None,
    events: EventsFile = None,
    max_calls: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--max-calls", metavar="N", min=1, help="Calls at a time; others get 503 (default: as measured)."),
    ] = None,
) -> None:
    """Answer calls until SIGTERM, then let the live ones end.

    `offhook.examples:echo` sends callers their own audio back. What was counted, by reason, is said at the end and on
    SIGUSR1; on SIGHUP certificates are read anew.
    """

    def work() -> None:
        flags = {} if max_calls is None else {"max_calls": max_calls}
        loaded = settings(config, sip, http, public, **flags)
        from offhook.console.answering import run

        run(agent, loaded, carriers=carrier, events=events, say=say)

    done(work)


@app.command(epilog="Example: offhook call sip:echo@127.0.0.1 app:agent")
def call(
    to: Annotated[str, typer.Argument(metavar="TO", help="sip:user@host, or +15551234567 through the trunk.")],
    agent: Annotated[
        str, typer.Argument(metavar="MODULE:AGENT", help="Who speaks (default: the built-in receptionist).")
    ] = "offhook.examples:receptionist",
    config: ConfigFile = None,
    sip: SipAddress = None,
    carrier: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--carrier", metavar="NAME", help="Have this service place it (default: a trunk does, by SIP)."),
    ] = None,
    public: PublicUrl = None,
    http: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--http", metavar="HOST:PORT", help="Where that service's requests come in (web.listen)."),
    ] = None,
    events: EventsFile = None,
) -> None:
    """Place a call and let an agent speak."""

    def work() -> None:
        loaded = settings(config, sip, http, public)
        from offhook.run.agents import load_agent
        from offhook.run.logs import log_to_stderr
        from offhook.run.serve import dial, run_live

        log_to_stderr()
        speaker = load_agent(agent)
        by = None
        if carrier is not None:
            from offhook.console.phone import by_service

            by = by_service(loaded, carrier, say)
        run_live(lambda: dial(loaded, to, speaker, events=events, say=say, by=by))

    done(work)


@app.command(epilog="Example: offhook demo --out demo --seed 7")
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the recording and the report go.")] = Path(
        "demo"
    ),
    seed: Seed = 1,
) -> None:
    """Hear a whole call: a simulated caller books a table with the receptionist, over real SIP and RTP."""

    def work() -> int:
        from offhook.run.demo.main import main

        return main(out, seed)

    raise typer.Exit(done(work))


@app.command(epilog="Example: offhook doctor --config offhook.toml --json")
def doctor(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    call: Annotated[
        str, typer.Option("--call", metavar="TO", help="Place a test call there, too: who picks up hears a tone.")
    ] = "",
) -> None:
    """Check ports, certificates, trunks, a call, services, models, disk and clock; each finding says the fix."""

    def work() -> int:
        from offhook.run.doctor import main

        return main(config, as_json=as_json, call=call)

    raise typer.Exit(done(work))


@app.command(epilog="Example: offhook sim --seed 1 --calls 1000")
def sim(
    seed: Seed = 1,
    calls: Annotated[int, typer.Option("--calls", metavar="K", min=1, help="How many calls.")] = 100,
    profile: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--profile", metavar="P", help="The network: perfect, lan, wan, wifi, lte, hostile (default: a mix)."
        ),
    ] = None,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--jobs", metavar="N", min=1, help="How many processes (default: one a core)."),
    ] = None,
    only: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--only", metavar="CALL", min=0, help="Replay one call of the run, by its number."),
    ] = None,
) -> None:
    """Run whole calls in virtual time over a hostile seeded network; print violations and what replays them."""

    def work() -> int:
        from offhook.testing.sim import main

        return main(seed=seed, calls=calls, profile=profile, jobs=jobs, only=only)

    raise typer.Exit(done(work))


@app.command(epilog="Example: offhook bench media --calls 500 --json")
def bench(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="media, memory, ear, jitter, plc, resample, echo, signalling, setup, pacing, carriers or turn.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    calls: Annotated[Optional[int], typer.Option("--calls", metavar="N", min=1, help="How many calls.")] = None,  # noqa: UP045
    seed: Seed = 1,
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--seconds", metavar="S", min=1.0, help="How long to measure."),
    ] = None,
) -> None:
    """Measure one thing beside its floor and the peers that are installed."""

    def work() -> int:
        from offhook.testing.bench import main

        return main(name, json=as_json, calls=calls, seed=seed, seconds=seconds)

    raise typer.Exit(done(work))


def version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        import offhook

        print(f"offhook {offhook.__version__}")
        raise typer.Exit


@app.callback()
def offhook(
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Voice agents on the telephone network."""


def main() -> None:
    """Run the command line."""
    app()
