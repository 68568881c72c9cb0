"""U-U-RAG's index in a file: what one run of ``memagent eval lsrp`` has learned, taken up by another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.lsrp.index import NeighbourIndex
from memagent.errors import InvalidInput, UnknownName
from memagent.evals.lsrp.arms import STRATEGIES
from memagent.evals.lsrp.choosing import EQUAL_WEIGHTS, Learned
from memagent.evals.lsrp.systems import NEIGHBOURS

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.evals.lsrp.data import LsrpCase

_SAME = 1e-4
"""Squared distance of two embeddings of one text, at most: they differ a little by what was embedded beside them."""


def check_index_options(index: Path | None, save_index: Path | None, systems: Sequence[str]) -> None:
    """Raise InvalidInput for options that contradict each other, before anything is paid for."""
    if index is not None and save_index is not None:
        raise InvalidInput("--index is learned already, so there is nothing to save", hint="--index or --save-index")
    if (index or save_index) and NEIGHBOURS not in systems:
        named = "--index" if index else "--save-index"
        raise InvalidInput(f"{named} is {NEIGHBOURS}'s, which is not among the systems", hint=f"--system {NEIGHBOURS}")


def learned_before(path: Path, encoder: Encoder, *, profile: bool) -> Learned:
    """What a file of ``--save-index``, or of :meth:`NeighbourIndex.save`, holds.

    Raises what :meth:`NeighbourIndex.load` raises (EncoderMismatch for another encoder), UnknownName for a strategy
    that is not run here, and InvalidInput for an index without tasks, and for one by the task alone or with the
    profile where ``profile`` wants the other.
    """
    index = NeighbourIndex.load(path, encoder=encoder)
    if not len(index):
        raise InvalidInput(f"{path.name} holds no task", hint="make it anew with --save-index")
    if unknown := sorted(set(index.styles) - set(STRATEGIES)):
        raise UnknownName(
            f"{path.name} holds the strategy {unknown[0]!r}, which is not run here",
            hint=f"use an index of {', '.join(STRATEGIES)}",
        )
    if index.made.profile != profile:
        made, option = (
            ("profile and task", "--index-profile") if index.made.profile else ("the task alone", "--no-index-profile")
        )
        raise InvalidInput(f"{path.name} was made of {made}", hint=f"use it with {option}")
    return Learned(
        index=index,
        weights=np.array(index.weights or EQUAL_WEIGHTS),
        labels=Counter(index.styles),
        left_out=0,
    )


def tested_before(learned: Learned, cases: Sequence[LsrpCase]) -> int:
    """How many of the cases have the very text of an entry: they were learnt from, and flatter the neighbours."""
    nearest = (learned.index.nearest(case.task, 1) for case in cases)
    return sum(bool(found) and found[0].distance < _SAME for found in nearest)
