"""Preference pairs: what a model should rather have said, and the files that hold them.

The fields are those of RAG-ProGuide, the published data set of ReasonRAG, so that one is read like the other.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import DataError, InvalidInput, MissingExtra
from memagent.files import as_path, directory_to_use, file_to_write, replacing
from memagent.tuning.sharegpt import plain_record

if TYPE_CHECKING:
    from datasets import Dataset

_NEEDED = ("input", "chosen", "rejected")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """Two outputs for one prompt, the better one first.

    ``instruction`` is the prompt's system text (may be empty) and ``input`` its user text. ``*_action_type`` says what
    an output does (ReasonRAG: query, evidence, answer; ``unknown`` for none of these) and ``*_content`` holds the text
    inside its tag. ``layer`` is the step, counted from 1, at which the outputs stand. ``group`` names what the pair was
    made from (a question's id): a split never divides a group. ``*_reward`` are the labels that decided, if known.
    """

    instruction: str
    input: str
    chosen: str
    rejected: str
    chosen_action_type: str = ""
    chosen_content: str = ""
    rejected_action_type: str = ""
    rejected_content: str = ""
    layer: int = 0
    group: str = ""
    chosen_reward: float | None = None
    rejected_reward: float | None = None

    @property
    def prompt(self) -> str:
        """System and user text in one, as the published records have them."""
        return f"{self.instruction}\n\n{self.input}" if self.instruction else self.input

    @property
    def kind(self) -> str:
        """What is chosen over what: ``query`` where both do the same, else for example ``answer over query``."""
        chosen, rejected = self.chosen_action_type or "any", self.rejected_action_type or "any"
        return chosen if chosen == rejected else f"{chosen} over {rejected}"

    def record(self) -> dict[str, Any]:
        """The pair with the published field names and ours."""
        whole = asdict(self)
        return {"instruction": whole.pop("instruction"), "input": whole.pop("input"), "prompt": self.prompt, **whole}

    def messages(self) -> dict[str, list[dict[str, str]]]:
        """The pair as chat messages: ``prompt``, ``chosen`` and ``rejected``, as trl's trainers take it."""
        system = [{"role": "system", "content": self.instruction}] if self.instruction else []
        return {
            "prompt": [*system, {"role": "user", "content": self.input}],
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
        }


_TYPES = {field.name: str(field.type) for field in fields(PreferencePair)}


def read_pairs(path: str | Path) -> list[PreferencePair]:
    """The pairs of a file: JSON Lines or one JSON list, either also with ``.gz``. Fields we do not know are left out.

    Records may also have ShareGPT's shape (see :mod:`memagent.tuning.sharegpt`).

    Raises :class:`DataError` naming the record and the field, and InvalidInput where there is no such file.
    """
    place = as_path(path, "the file of pairs")
    try:
        content = place.read_bytes()
        text = (gzip.decompress(content) if place.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{place} cannot be read: {error}", hint="name a .jsonl or .json file of pairs") from error
    pairs = [_pair(record, f"{place.name}, record {number}") for number, record in enumerate(_records(text, place), 1)]
    if not pairs:
        raise DataError(f"{place.name} holds no pairs", hint="make some with `memagent tune pairs`")
    return pairs


def write_pairs(path: str | Path, pairs: Iterable[PreferencePair]) -> None:
    """Write pairs as JSON Lines, as a whole or not at all. A name that ends in ``.gz`` is compressed."""
    place = file_to_write(path, "the file of pairs")
    text = "".join(json.dumps(pair.record(), ensure_ascii=False) + "\n" for pair in pairs)
    content = text.encode("utf-8", "replace")
    with replacing(place, mode=0o644) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if place.suffix == ".gz" else content)


def as_dataset(pairs: Sequence[PreferencePair]) -> Dataset:
    """The pairs as a Hugging Face dataset with the published columns; :func:`write_dataset` keeps it.

    Raises :class:`MissingExtra` without the package ``datasets``.
    """
    try:
        from datasets import Dataset
    except ImportError as error:
        raise MissingExtra("datasets is not installed", hint='pip install "memagent[tune]"') from error
    return Dataset.from_list([pair.record() for pair in pairs])


def write_dataset(folder: str | Path, pairs: Sequence[PreferencePair]) -> None:
    """Write pairs as a Hugging Face dataset, in place of one that is in ``folder`` already.

    Raises :class:`MissingExtra` without the package ``datasets``, InvalidInput where the folder cannot be written.
    """
    place = directory_to_use(folder, "the folder of the dataset")
    made = as_dataset(pairs)
    try:
        made.save_to_disk(str(place))
    except OSError as error:
        raise InvalidInput(
            f"{place} cannot be written: {error.strerror or error}", hint="name another folder"
        ) from error


def split_pairs(
    pairs: Sequence[PreferencePair], *, held_out: float = 0.1, seed: int = 0
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Pairs to train on and pairs to hold out, in their order; groups stay whole.

    Groups are drawn until about ``held_out`` of the pairs are held out (none for 0; never all). Pairs without a group
    are grouped by their question's prompt, so that two pairs over one prompt are not divided either.
    """
    if not 0 <= held_out < 1:
        raise InvalidInput(f"the share to hold out is {held_out}", hint="it is 0 or more and below 1")
    sizes: dict[str, int] = {}
    for pair in pairs:
        sizes[_group(pair)] = sizes.get(_group(pair), 0) + 1
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    wanted, taken, out = held_out * len(pairs), 0, set[str]()
    for name in names[:-1]:
        if taken + sizes[name] / 2 > wanted:
            continue
        out.add(name)
        taken += sizes[name]
    kept = [pair for pair in pairs if _group(pair) not in out]
    return kept, [pair for pair in pairs if _group(pair) in out]


def _group(pair: PreferencePair) -> str:
    return pair.group or pair.prompt


def _records(text: str, place: Path) -> list[Any]:
    if text.lstrip()[:1] == "[":
        found = _json(text, place.name)
        return list(found)
    lines = (line for line in text.split("\n") if line.strip())
    return [_json(line, f"{place.name}, record {number}") for number, line in enumerate(lines, 1)]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{where} is no JSON: {error}", hint="a pair is one JSON object a line") from error


def _pair(record: Any, where: str) -> PreferencePair:
    if not isinstance(record, dict):
        raise DataError(f"{where} is no object", hint="a pair has the fields instruction, input, chosen and rejected")
    if "conversations" in record:
        record = plain_record(record, where)
    if missing := [name for name in _NEEDED if name not in record]:
        raise DataError(f"{where} has no {missing[0]!r}", hint=f"a pair needs {', '.join(_NEEDED)}")
    known = {name: value for name, value in record.items() if name in _TYPES and value is not None}
    for name, value in known.items():
        wanted: tuple[type, ...] = {"str": (str,), "int": (int,)}.get(_TYPES[name], (int, float))
        if not isinstance(value, wanted) or isinstance(value, bool):
            shown = repr(value)[:_SHOWN]
            raise DataError(f"{where}: {name!r} is {shown}", hint=f"it must be {_TYPES[name].replace(' | None', '')}")
    for name in ("chosen", "rejected"):
        if not known.get(name, "").strip():
            raise DataError(f"{where}: {name!r} is empty", hint="an output needs text")
    if known["chosen"] == known["rejected"]:
        raise DataError(f"{where}: chosen and rejected are the same", hint="such a pair teaches nothing: leave it out")
    return PreferencePair(**{"instruction": "", **known})
