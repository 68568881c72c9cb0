"""When nobody can be played: a run whose visitors all fail is stopped, so that it can be mended and run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.agents.ab.sandbox import Ending
from memagent.errors import Stopped

if TYPE_CHECKING:
    from memagent.agents.ab.storing import Block, Runs

UNPLAYED = 20
"""After so many users in a row for whom the policy had no answer in any visit, a run is stopped. Ours."""

_UNTRIED = frozenset({Ending.POLICY_FAILED, Ending.ARM_FAILED, Ending.NOTHING_SHOWN})


class Keeper:
    """Hands blocks on to be kept, those in which the policy had no answer at all only after one in which it had.

    A policy that fails for some users is an outcome of theirs. One that fails for everybody, because a server refuses
    all that is asked, or a package is missing, has no outcome: written down, such visits could never be made again.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._waiting: list[tuple[int, Block]] = []
        self._failed = 0
        self._played = False

    def known(self, block: Block) -> None:
        """A block that an earlier run has kept."""
        self._played = self._played or _played(block)

    def keep(self, number: int, block: Block) -> None:
        """Keep a block, now or later. Raises Stopped after ``UNPLAYED`` users in a row who could not be played."""
        self._waiting.append((number, block))
        if _played(block):
            self._played = True
            self._release()
            return
        self._failed += len({visit.user for visit in block.visits if visit.ending == Ending.POLICY_FAILED})
        if not self._failed:  # it is the arms that fail
            self._release()
        elif self._failed >= UNPLAYED:
            raise self._stopped()

    def finish(self) -> None:
        """Keep what waits. Raises Stopped where nobody could be played in the whole run."""
        if self._failed and not self._played:
            raise self._stopped()
        self._release()

    def _release(self) -> None:
        for number, block in self._waiting:
            self._runs.keep(number, block)
        self._waiting, self._failed = [], 0

    def _stopped(self) -> Stopped:
        events = [event for _, block in self._waiting for event in block.events]
        why = next((event.note for event in reversed(events) if event.event == "fault" and event.note), "no answer")
        return Stopped(
            f"{self._failed} users in a row could not be played: {why}",
            hint="see to the policy or its model, then run it again: of these users nothing was kept",
        )


def _played(block: Block) -> bool:
    return any(visit.ending not in _UNTRIED for visit in block.visits)
