"""How many more words the recogniser misses where packets are lost and made up for."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from offhook.providers import registry

PROMPTS, SEED = 12, 3
PACKAGES = "asterisk-core-sounds-en asterisk-core-sounds-en-wav"


@pytest.fixture(scope="module")
def wer(peer_file) -> ModuleType:
    """Give tools/wer.py, which measures it for people."""
    tool = Path(__file__).parents[2] / "tools" / "wer.py"
    spec = importlib.util.spec_from_file_location("offhook_wer", tool)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for themselves there
    spec.loader.exec_module(module)
    for path in (module.SOUNDS, module.TRANSCRIPTS):
        peer_file(str(path), PACKAGES)
    return module


@pytest.mark.slow
@pytest.mark.survives(21)
def test_ten_percent_loss_costs_one_word_in_ten_at_most(wer):
    chosen = wer.prompts(SEED)[:PROMPTS]

    async def rates() -> tuple[float, float]:
        stt = registry.stt("local")
        await stt.check()
        return await wer.measure(stt, chosen, 0.0, SEED), await wer.measure(stt, chosen, 0.1, SEED)

    clean, lossy = asyncio.run(rates())
    print(f"word error rate {clean:.1%}, at 10 % loss {lossy:.1%}")
    assert lossy - clean <= 0.10
