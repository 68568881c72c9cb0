"""What the commands of ``memagent eval`` are tried with: a counting encoder, and a small file in LoCoMo's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import memagent.encoders
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

TOPICS = ("cello", "running", "boiler", "tomatoes")


class Counting:
    """A hashing encoder that counts what it encodes, and is interrupted when asked for question ``stop_at``."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self._inner = HashingEncoder(dim=64)
        self.name, self.fingerprint, self.dim = self._inner.name, self._inner.fingerprint, 64
        self.max_tokens = self._inner.max_tokens
        self.documents = self.queries = 0
        self._stop_at = stop_at

    def encode_queries(self, texts: list[str]) -> Vectors:
        self.queries += len(texts)
        if self.queries == self._stop_at:
            raise KeyboardInterrupt
        return self._inner.encode_queries(texts)

    def encode_documents(self, texts: list[str]) -> Vectors:
        self.documents += len(texts)
        return self._inner.encode_documents(texts)

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)


def use(monkeypatch: pytest.MonkeyPatch, encoder: Counting) -> Counting:
    """Have commands load this encoder."""
    monkeypatch.setattr(memagent.encoders, "load_encoder", lambda *args, **options: encoder)
    return encoder


def locomo_file(path: Path, *, summaries: bool = False) -> Path:
    """A conversation with a session and a question about each topic, categories 1 to 4."""
    conversation: dict[str, Any] = {"speaker_a": "Ann", "speaker_b": "Bo"}
    questions = []
    for i, topic in enumerate(TOPICS, start=1):
        conversation[f"session_{i}"] = [
            {"dia_id": f"D{i}:1", "speaker": "Ann", "text": f"My {topic} again."},
            {"dia_id": f"D{i}:2", "speaker": "Bo", "text": "Tell me."},
        ]
        conversation[f"session_{i}_date_time"] = f"1:0{i} pm on {i} May, 2023"
        questions.append(
            {"question": f"What about the {topic}?", "answer": "x", "evidence": [f"D{i}:1"], "category": i}
        )
    told = {f"session_{i}_summary": f"They talked about {topic}." for i, topic in enumerate(TOPICS, start=1)}
    record = {"sample_id": "conv-1", "conversation": conversation, "qa": questions}
    path.write_text(json.dumps([{**record, "session_summary": told} if summaries else record]))
    return path
