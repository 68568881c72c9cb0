"""Which records are learnt from and which are tested: without people on both sides, or as published.

In MovieExp as published 57 of the 99 test profiles also occur in training, and 46 (profile, movie) pairs occur in both:
the nearest neighbour of a test record can be that record itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memagent.errors import InvalidInput
from memagent.evals.lsrp.data import LsrpCase

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LsrpSplit:
    """What is learnt from (``train``), what is tested, and how many records are in neither, for which reason."""

    train: tuple[LsrpCase, ...]
    test: tuple[LsrpCase, ...]
    left_out: dict[str, int] = field(default_factory=dict)


def clean_split(
    train: Sequence[LsrpCase],
    test: Sequence[LsrpCase] | None = None,
    *,
    share: float = TEST_SHARE,
    seed: int = 0,
) -> LsrpSplit:
    """No person, and so no profile and no (profile, task) pair, is on both sides, and no pair is twice on one.

    With ``test`` it stays whole but for repeated records, and whoever occurs in it is left out of ``train``. Without,
    people are drawn from ``train`` (``seed``) until about ``share`` of its records are tested; with one person only
    nothing is learnt from. Raises InvalidInput for a share that is none and where there is nothing to test.
    """
    if not 0 < share < 1:
        raise InvalidInput(f"the share to test is {share}", hint="it lies between 0 and 1")
    pool, repeated = _once(train)
    left_out = {"repeated": repeated}
    if test is None:
        people = _drawn(pool, share, seed)
        tested = tuple(case for case in pool if case.user in people)
    else:
        tested, again = _once(test)
        left_out["repeated"] += again
    if not tested:
        raise InvalidInput("there is nothing to test", hint="pass records")
    people = {case.user for case in tested}
    learnt = tuple(case for case in pool if case.user not in people)
    if test is not None:
        left_out["of a person who is tested"] = len(pool) - len(learnt)
    return LsrpSplit(train=learnt, test=tested, left_out={why: count for why, count in left_out.items() if count})


def published_split(train: Sequence[LsrpCase], test: Sequence[LsrpCase]) -> LsrpSplit:
    """Both sides as they are, with what they share. Raises InvalidInput where there is nothing to test."""
    if not test:
        raise InvalidInput("there is nothing to test", hint="the published split has files of its own for both sides")
    return LsrpSplit(train=tuple(train), test=tuple(test))


def shared_by(split: LsrpSplit) -> dict[str, int]:
    """What is on both sides of a split: tested people, profiles and (profile, task) pairs that occur in training."""
    train, test = split.train, split.test
    return {
        "people": len({case.user for case in test} & {case.user for case in train}),
        "profiles": len({case.profile for case in test} & {case.profile for case in train}),
        "pairs": len({case.pair for case in test} & {case.pair for case in train}),
    }


def _once(cases: Iterable[LsrpCase]) -> tuple[tuple[LsrpCase, ...], int]:
    """The cases without those that repeat an earlier one, and how many these are."""
    everything = list(cases)
    first: dict[tuple[str, str], LsrpCase] = {}
    for case in everything:
        first.setdefault(case.pair, case)
    return tuple(first.values()), len(everything) - len(first)


def _drawn(cases: Sequence[LsrpCase], share: float, seed: int) -> set[str]:
    """The people who are tested."""
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.user] = sizes.get(case.user, 0) + 1
    people = sorted(sizes)
    random.Random(seed).shuffle(people)
    if len(people) == 1:
        return set(people)
    drawn: set[str] = set()
    records = 0
    for person in people[:-1]:
        if drawn and records + sizes[person] / 2 > share * len(cases):
            continue
        drawn.add(person)
        records += sizes[person]
    return drawn
