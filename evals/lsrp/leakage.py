"""How much of what is private crossed the wire: the share of private facts that can be read from what was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from memagent.agents.lsrp.ports import PrivateTask
from memagent.evals.lsrp.crossing import crossed, private_facts, sent_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``crossed`` of ``private`` facts."""

    crossed: int
    private: int

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 where nothing is private."""
        return self.crossed / self.private if self.private else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """Facts that crossed, summed over tasks: all, by kind (value, word, number), and by field of the profile.

    ``tasks`` is how many were looked at, ``leaking`` from how many of them at least one fact crossed.
    """

    tasks: int
    leaking: int
    facts: Share
    by_kind: Mapping[str, Share] = field(default_factory=dict)
    by_source: Mapping[str, Share] = field(default_factory=dict)


def leakage(sent: Iterable[tuple[PrivateTask, Iterable[str]]]) -> Leakage:
    """The leakage of tasks, each with the bodies (JSON or plain text) that left the device for it.

    A fact counts once a task, however often it was sent. Only what goes up is to be given: what comes down is made
    of it.
    """
    private: Counter[tuple[str, str]] = Counter()
    out: Counter[tuple[str, str]] = Counter()
    tasks = leaking = 0
    for task, bodies in sent:
        facts = private_facts(task)
        wire = "\n".join(text for body in bodies for text in sent_texts(body))
        gone = crossed(facts, wire)
        private.update((fact.kind, fact.source) for fact in facts)
        out.update((fact.kind, fact.source) for fact in gone)
        tasks += 1
        leaking += bool(gone)
    return Leakage(
        tasks=tasks,
        leaking=leaking,
        facts=Share(crossed=out.total(), private=private.total()),
        by_kind=_shares(private, out, 0),
        by_source=_shares(private, out, 1),
    )


def _shares(private: Counter[tuple[str, str]], out: Counter[tuple[str, str]], part: int) -> dict[str, Share]:
    names = sorted({key[part] for key in private})
    return {
        name: Share(
            crossed=sum(count for key, count in out.items() if key[part] == name),
            private=sum(count for key, count in private.items() if key[part] == name),
        )
        for name in names
    }
