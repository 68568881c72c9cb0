"""Preference pairs in the ShareGPT shape that LLaMA-Factory reads (``formatting: sharegpt``, ``ranking: true``).

A record is ``{"conversations": [{"from": "human", "value": prompt}], "chosen": {"from": "gpt", "value": text},
"rejected": {...}}``, with ``"system"`` where there is a system text. ``group`` and the rewards are ours; others pass
over them. :func:`memagent.tuning.pairs.read_pairs` reads both this shape and our own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import DataError
from memagent.files import file_to_write, replacing

if TYPE_CHECKING:
    from memagent.tuning.pairs import PreferencePair

_HUMAN = ("human", "user")
_MODEL = ("gpt", "assistant")
_OURS = ("group", "chosen_reward", "rejected_reward")
_SHAPE = 'a record is {"conversations": [{"from": "human", "value": ...}], "chosen": {"from": "gpt", ...}, "rejected"}'


def sharegpt_record(pair: PreferencePair) -> dict[str, Any]:
    """A pair as a ShareGPT record."""
    record: dict[str, Any] = {"conversations": [{"from": "human", "value": pair.input}]}
    if pair.instruction:
        record["system"] = pair.instruction
    record |= {name: {"from": "gpt", "value": getattr(pair, name)} for name in ("chosen", "rejected")}
    return record | {name: value for name in _OURS if (value := getattr(pair, name)) not in (None, "")}


def write_sharegpt(path: str | Path, pairs: Iterable[PreferencePair]) -> None:
    """Write pairs as a JSON list, or as JSON Lines where the name ends in ``.jsonl``; as a whole or not at all."""
    place = file_to_write(path, "the file of pairs")
    records = [sharegpt_record(pair) for pair in pairs]
    if place.suffix == ".jsonl":
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    else:
        text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    with replacing(place) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def plain_record(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of our own shape for a ShareGPT record; raises DataError for one that they cannot hold."""
    turns = record["conversations"]
    if not isinstance(turns, list):
        raise DataError(f"{where}: 'conversations' is no list", hint=_SHAPE)
    said = [_said(turn, f"{where}: 'conversations[{place}]'") for place, turn in enumerate(turns)]
    system = record.get("system") or ""
    if said and said[0][0] == "system":
        system = said.pop(0)[1]
    if not isinstance(system, str):
        raise DataError(f"{where}: 'system' is no text", hint=_SHAPE)
    if len(said) != 1 or said[0][0] not in _HUMAN:
        spoke = ", ".join(who for who, _ in said) or "nobody"
        raise DataError(
            f"{where}: in 'conversations' {spoke} spoke", hint="a pair has one prompt: a single turn of the human"
        )
    outputs = {}
    for name in ("chosen", "rejected"):
        who, outputs[name] = _said(record.get(name), f"{where}: {name!r}")
        if who not in _MODEL:
            raise DataError(f"{where}: {name!r} is from {who!r}", hint="outputs are from gpt")
    return {
        "instruction": system,
        "input": said[0][1],
        **outputs,
        **{name: record[name] for name in _OURS if name in record},
    }


def _said(turn: Any, where: str) -> tuple[str, str]:
    who, value = (turn.get("from"), turn.get("value")) if isinstance(turn, Mapping) else (None, None)
    if not isinstance(who, str) or not isinstance(value, str):
        raise DataError(f"{where} has no 'from' and 'value' of text", hint=_SHAPE)
    return who, value
