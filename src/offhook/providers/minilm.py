"""Sentence embeddings from a worker process: how near in meaning two texts are."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offhook.core.errors import ProviderError
from offhook.providers.models import locate
from offhook.providers.workers import Worker, python

Vector = npt.NDArray[np.float32]

DIMENSIONS = 384
KEPT = 4096
"""How many texts keep their vector: 6 MB. A caller's words are asked for again at every turn of the call."""


class MiniLm:
    """Turns texts into unit vectors; the scalar product of two says how near in meaning they are."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._kept: OrderedDict[str, Vector] = OrderedDict()
        self.cpu_ms = 0.0
        """CPU time of the last request, in ms."""

    @classmethod
    def from_files(cls) -> MiniLm:
        """Find and verify the weights (ModelError) and make the worker; `check` starts it."""
        model = locate("minilm").paths["model.onnx"]
        vocabulary = locate("minilm-vocabulary").paths["wordpiece.txt"]
        module = "offhook.providers.minilm_worker"
        return cls(Worker("sentence encoder", python(module, str(model), str(vocabulary))))

    async def check(self) -> None:
        """Load the model, if it is not. ModelError if it does not load."""
        await self._worker.start()

    async def close(self) -> None:
        """End the worker."""
        await self._worker.close()

    async def encode(self, texts: Sequence[str]) -> dict[str, Vector]:
        """Give the vector of each text. ProviderError if the worker fails."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._kept]
        fresh: dict[str, Vector] = {}
        if missing:
            fresh = dict(zip(missing, await self._ask(missing), strict=True))
        found = {text: fresh[text] if text in fresh else self._kept[text] for text in dict.fromkeys(texts)}
        for text, vector in found.items():
            self._kept[text] = vector
            self._kept.move_to_end(text)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    async def _ask(self, texts: list[str]) -> list[Vector]:
        body = b""
        async with contextlib.aclosing(self._worker.ask({"texts": texts})) as frames:
            async for frame in frames:
                body = body or frame.body
                self.cpu_ms = float(frame.head.get("cpu_ms", self.cpu_ms))
        if len(body) != len(texts) * DIMENSIONS * 4:
            raise ProviderError("the sentence encoder gave the wrong number of vectors")
        return list(np.frombuffer(body, np.float32).reshape(len(texts), DIMENSIONS))
