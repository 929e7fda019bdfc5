"""pjsua2 calls the echo and hears itself: µ-law, A-law, over UDP and TCP; its keys arrive once each."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(find_spec("pjsua2") is None, reason="pjsua2 has no wheel here: pip install pjsua2-python"),
]

PEER = str(Path(__file__).with_name("pjsua_peer.py"))
KEYS = "0123456789*#"


def talk(serving: Any, kit: Any, folder: Path, *, transport: str, codecs: list[str], keys: str = "") -> tuple[Any, Any]:
    """Let pjsua2 call and speak for four seconds; give what it said and what it heard."""
    said = kit.sound(4.0)
    kit.write_wav(folder / "said.wav", said)
    wish = {
        "to": f"sip:echo@127.0.0.1:{serving.port}" + (";transport=tcp" if transport == "tcp" else ""),
        "transport": transport,
        "port": kit.free_port(),
        "rtp_port": kit.free_port(),
        "codecs": codecs,
        "play": str(folder / "said.wav"),
        "record": str(folder / "heard.wav"),
        "talk_s": 5.0,
        "keys": keys,
    }
    done = subprocess.run(
        [sys.executable, PEER, json.dumps(wish)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + serving.log.read_text()[-2000:]
    return said, kit.read_wav(folder / "heard.wav")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_it_hears_itself(serve: Any, kit: Any, tmp_path: Path, transport: str, codec: str) -> None:
    serving = serve()
    said, heard = talk(serving, kit, tmp_path, transport=transport, codecs=[codec])
    assert kit.correlation(heard, said) > 0.9
    assert [line["event"] for line in serving.events()] == ["incoming", "answered", "ended"]
    assert serving.stop() == 0


def test_each_key_arrives_once(serve: Any, kit: Any, tmp_path: Path) -> None:
    serving = serve()
    talk(serving, kit, tmp_path, transport="udp", codecs=["PCMU"], keys=KEYS)
    kit.until("the end", lambda: serving.events("ended"))
    assert "".join(line["digit"] for line in serving.events("digit")) == KEYS
