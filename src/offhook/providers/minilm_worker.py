"""The process that gives sentences a place: all-MiniLM-L6-v2 (int8) through ONNX Runtime.

texts ─► WordPiece ─► MiniLM ─► mean over the tokens ─► unit length ─► 384 floats each
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offhook.providers.frames import Frame
from offhook.providers.worker import serve

LONGEST_TOKENS = 128
"""What the model was trained on; more words are cut, and nobody asks for something in a hundred of them."""


class Encoder:
    """The loaded model."""

    def __init__(self, model: Path, vocabulary: Path) -> None:
        import onnxruntime
        from tokenizers import BertWordPieceTokenizer

        runtime: Any = onnxruntime
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        tokenizer: Any = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        tokenizer.enable_truncation(LONGEST_TOKENS)
        tokenizer.enable_padding()
        self._tokenizer = tokenizer
        self._session = runtime.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Give a unit vector of 384 for each text."""
        tokens = self._tokenizer.encode_batch(texts)
        ids = np.array([piece.ids for piece in tokens], np.int64)
        mask = np.array([piece.attention_mask for piece in tokens], np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states: npt.NDArray[np.float32] = self._session.run(None, inputs)[0]
        weights = mask[:, :, None].astype(np.float32)
        means = (states * weights).sum(axis=1) / weights.sum(axis=1)
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def main() -> None:
    """Load the model named on the command line and answer `{"texts": […]}` with their vectors, one after another."""
    parser = argparse.ArgumentParser(description="The sentence encoder of offhook; started by offhook.")
    parser.add_argument("model", type=Path)
    parser.add_argument("vocabulary", type=Path)
    arguments = parser.parse_args()
    encoder = Encoder(arguments.model, arguments.vocabulary)

    def answer(head: dict[str, Any], body: bytes) -> Iterator[Frame]:
        texts = [str(text) for text in head["texts"]]
        if not texts:
            raise ValueError("no texts")
        yield Frame({"texts": len(texts)}, encoder.encode(texts).tobytes())

    serve(answer, ready={"model": "all-MiniLM-L6-v2 int8"})


if __name__ == "__main__":
    main()
