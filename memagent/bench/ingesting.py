"""How many turns a second are stored when whole histories are taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.bench.encoder import PrecomputedEncoder
from memagent.bench.figures import Figure
from memagent.bench.measure import timed
from memagent.granularity import group_turns, turn_text
from memagent.memory import Memory

if TYPE_CHECKING:
    from memagent.bench.workshop import Workshop
    from memagent.encoders.port import Encoder
    from memagent.records import Session

Encode = Callable[[list[str]], object]

_BLOCK = 256
_BARE = "SentenceTransformer.encode (torch, float32) of the same texts, nothing stored"


class Rate(NamedTuple):
    """Turns a second, those of ``bare``, and the median of the blocks' ratios."""

    turns: float
    bare: float
    ratio: float


def measure_ingest(workshop: Workshop) -> Iterator[Figure]:
    """Bulk ingestion, all storing included, beside bare encoding of the same texts."""
    workshop.tell("loading encoders")
    encoders: dict[str, Encoder] = {
        "float32": workshop.load(),
        "int8": workshop.load(precision="int8"),
        "precomputed vectors": PrecomputedEncoder(seed=workshop.settings.seed),
    }
    texts = workshop.settings.texts
    blocks = [
        list(workshop.grammar.sessions(min(_BLOCK, texts - start), name=f"block-{start}-"))
        for start in range(0, texts, _BLOCK)
    ]
    rates = ingestion_rates(workshop.root / "ingest", encoders, bare_encode(), blocks, workshop.tell)
    for name, rate in rates.items():
        yield Figure(
            group="ingest",
            what=f"bulk ingestion, {name}",
            value=rate.turns,
            unit="texts/s",
            n=texts,
            against=_BARE,
            other=rate.bare,
            ratio=rate.ratio,
        )


def ingestion_rates(
    root: Path,
    encoders: Mapping[str, Encoder],
    bare: Encode,
    blocks: Sequence[Sequence[Session]],
    tell: Callable[[str], None],
) -> dict[str, Rate]:
    """How fast a memory with each encoder takes in ``blocks`` of sessions, and ``bare`` encodes their turns.

    Everybody has a block before anybody has the next one, each time beginning with another. The memories are made
    under ``root``. Rates are medians over the blocks.
    """
    texts = [[turn_text(turn) for session in block for turn in group_turns(session.messages)] for block in blocks]
    seconds: dict[str, list[float]] = {name: [] for name in ("bare", *encoders)}
    order = list(seconds)
    with ExitStack() as stack:
        memories = {
            name: stack.enter_context(Memory(root / str(place), encoder=encoder, background=False))
            for place, (name, encoder) in enumerate(encoders.items())
        }
        for work in (bare, *(encoder.encode_documents for encoder in encoders.values())):
            work(texts[0][:8])  # models are loaded by the first call
        for place, block in enumerate(blocks):
            tell(f"ingesting block {place + 1} of {len(blocks)}")
            turn = place % len(order)
            for name in order[turn:] + order[:turn]:
                if name == "bare":
                    seconds[name].append(timed(lambda: bare(texts[place])))  # noqa: B023  called at once
                else:
                    seconds[name].append(timed(lambda: memories[name].add_many(block, user_id="user")))  # noqa: B023
    counts = [len(block) for block in texts]
    rates = {name: median(n / s for n, s in zip(counts, taken, strict=True)) for name, taken in seconds.items()}
    return {
        name: Rate(
            turns=rates[name],
            bare=rates["bare"],
            ratio=median(b / s for b, s in zip(seconds["bare"], seconds[name], strict=True)),
        )
        for name in encoders
    }


def bare_encode(model: str | None = None) -> Encode:
    """``SentenceTransformer.encode`` with its own defaults, for a model by name or path (None: the packaged one)."""
    from memagent.encoders.hub import find_model
    from memagent.encoders.model import read_model
    from memagent.encoders.sentence_transformers import load_sentence_transformer

    folder, name = find_model(model)
    loaded: Any = load_sentence_transformer(read_model(folder, name=name))

    def encode(texts: list[str]) -> object:
        return loaded.encode(texts, show_progress_bar=False)

    return encode
