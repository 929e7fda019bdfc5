"""The frame of the benches: traces are their seed, verdicts come from one table, percentiles are exact."""

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from offhook.cli import app
from offhook.testing.bench import NAMES, main
from offhook.testing.bench.budgets import MUSTS, meets
from offhook.testing.bench.result import NOT_RUN, Result, percentile
from offhook.testing.bench.traces import NAMES as NETWORKS
from offhook.testing.bench.traces import PTIME, losses, trace


@pytest.mark.parametrize("name", NETWORKS)
def test_a_trace_is_its_seed(name: str) -> None:
    assert trace(name, 1, 30) == trace(name, 1, 30)
    assert trace(name, 1, 30) != trace(name, 2, 30)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_path_keeps_order_takes_time_and_loses_one_percent(name: str) -> None:
    whole = trace(name, 3)
    came = [(number, at) for number, at in enumerate(whole.arrivals) if at is not None]
    assert all(earlier[1] <= later[1] for earlier, later in pairwise(came))
    assert all(at > number * PTIME for number, at in came)
    assert 0.007 < 1 - len(came) / len(whole.arrivals) < 0.013


def test_losses_come_in_bursts_of_the_mean_length() -> None:
    lost = losses(random.Random(5), 400_000, share=0.05, burst=2.0)
    bursts = sum(1 for before, now in zip([False, *lost], lost, strict=False) if now and not before)
    assert sum(lost) / len(lost) == pytest.approx(0.05, rel=0.1)
    assert sum(lost) / bursts == pytest.approx(2.0, rel=0.1)


def test_spread_grows_from_lan_to_lte() -> None:
    def spread(name: str) -> float:
        transits = sorted(at - number * PTIME for number, at in enumerate(trace(name, 1).arrivals) if at is not None)
        return percentile([float(transit) for transit in transits], 0.99) - transits[0]

    assert spread("lan") < spread("wan") < spread("wifi")
    assert spread("wan") < spread("lte")


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_a_percentile_is_one_of_the_values_and_covers_its_share(values: list[float], share: float) -> None:
    ordered = sorted(values)
    value = percentile(ordered, share)
    assert value in ordered
    assert sum(one <= value for one in ordered) >= share * len(ordered) - 1e-9


def test_help_names_every_bench() -> None:
    text = " ".join(CliRunner().invoke(app, ["bench", "--help"]).stdout.split())
    assert f"NAME <str> {', '.join(NAMES[:-1])} or {NAMES[-1]}." in text


def test_what_was_not_measured_is_not_met() -> None:
    for name in NAMES:
        assert meets(name, {}) == dict.fromkeys(MUSTS[name], False)
        assert meets(name, {figure: must.limit for figure, must in MUSTS[name].items()}) == dict.fromkeys(
            MUSTS[name], True
        )
        beyond = {
            figure: must.limit + (-0.001 if must.bound == "at least" else 0.001) for figure, must in MUSTS[name].items()
        }
        assert not any(meets(name, beyond).values())


def test_a_result_says_all_of_itself_in_json() -> None:
    result = Result(
        "signalling",
        {"cpu_ms_per_call": 0.4, "failed": 0},
        seed=7,
        shape={"calls": 10},
        peers={"sipp": NOT_RUN, "kamailio": {"cpu_ms_per_call": 0.06}},
    )
    told = json.loads(result.as_json())
    assert set(told) == {"bench", "figures", "floor", "peers", "ratios", "must", "meets", "seed", "corpus", "shape"}
    assert told["meets"] == {"cpu_ms_per_call": True, "failed": True}
    assert told["peers"]["sipp"] == "not run"
    assert ("peer: sipp", "not run", "", "") in result.lines()


def test_an_unknown_bench_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("coffee", json=False) == 1
    assert capsys.readouterr().err == (
        "offhook bench coffee: there is no bench 'coffee'; "
        "there are media, memory, ear, jitter, plc, resample, echo, signalling, setup, pacing, carriers, turn\n"
    )
