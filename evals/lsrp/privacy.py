"""The privacy figures: what crosses with the guard off, passing and redacting, and what an attack makes of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.ports import Guard, PrivateTask
from memagent.evals.lsrp.attack import Attacked, Victim, candidates, guess_by_texts, judged
from memagent.evals.lsrp.crossing import crossed, private_facts
from memagent.evals.lsrp.leakage import Leakage, leakage
from memagent.evals.lsrp.planted import ATTACKED, PARAPHRASE, PlantedTask, Told, person, planted_tasks, tasks_that_tell

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder

TOLD: tuple[Told, ...] = ("nothing", "as it is", "disguised", "paraphrased")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardFigures:
    """What a guard did with planted and clean tasks.

    ``leaking``: planted tasks from which a private fact could be read on the wire, or the plant stood there as it was
    written (paraphrases apart), by disguise in ``leaking_by``. ``clean_changed``: clean tasks that did not pass
    unchanged. ``paraphrases_passed``: paraphrased plants that stood on the wire as written. ``milliseconds``:
    processor time of a check, the mean over all tasks, each user's facts prepared before.
    """

    planted: int
    leaking: int
    leaking_by: Mapping[str, int]
    readable_before: int
    clean: int
    clean_changed: int
    paraphrases: int
    paraphrases_passed: int
    leakage: Leakage
    milliseconds: float


def guard_figures(guard: Guard | None, tasks: Iterable[PlantedTask]) -> GuardFigures:
    """The figures of a guard (None: everything leaves) on planted and clean tasks."""
    seen: Counter[str] = Counter()
    leaking: Counter[str] = Counter()
    sent: list[tuple[PrivateTask, tuple[str, ...]]] = []
    spent = 0.0
    for task in tasks:
        wire, seconds = _left(guard, task.private)
        spent += seconds
        sent.append((task.private, (wire,)))
        if task.plant is None:
            seen.update(clean=1, changed=wire != task.private.text)
            continue
        facts = private_facts(task.private)
        paraphrased = task.plant.disguise == PARAPHRASE
        stands = _stands(task.plant.written, wire)
        seen.update(planted=1, readable=bool(crossed(facts, task.private.text)))
        seen.update(paraphrases=paraphrased, passed=paraphrased and stands)
        leaking[task.plant.disguise] += bool(crossed(facts, wire)) or (stands and not paraphrased)
    return GuardFigures(
        planted=seen["planted"],
        leaking=leaking.total(),
        leaking_by=dict(+leaking),
        readable_before=seen["readable"],
        clean=seen["clean"],
        clean_changed=seen["changed"],
        paraphrases=seen["paraphrases"],
        paraphrases_passed=seen["passed"],
        leakage=leakage(sent),
        milliseconds=1_000 * spent / max(1, len(sent)),
    )


def victims(guard: Guard | None, told: Told, *, people: int = 200, seed: int = 0) -> list[Victim]:
    """Made-up users and what left the device of three tasks each, which tell their fields in some way."""
    rng = random.Random(f"attack {told} {seed}")
    found = []
    for _ in range(people):
        whose = person(rng)
        wire = tuple(_left(guard, task)[0] for task in tasks_that_tell(whose, rng, told))
        found.append(Victim(sent=wire, profile={name: whose.profile[name] for name in ATTACKED}))
    return found


def attack_figures(
    encoder: Encoder, *, guards: Mapping[str, Guard | None] | None = None, people: int = 200, seed: int = 0
) -> dict[tuple[str, Told], list[Attacked]]:
    """The attack's accuracy by guard and by the way in which the fields are told."""
    made = {}
    for label, guard in (guards or {"off": None, "redact": ProfileGuard()}).items():
        for told in TOLD:
            population = victims(guard, told, people=people, seed=seed)
            values = candidates(population, ATTACKED)
            made[label, told] = judged(population, guess_by_texts(population, values, encoder), values)
    return made


def generated(count: int, seed: int = 0) -> Sequence[PlantedTask]:
    """Planted and clean tasks, every second one clean."""
    return tuple(planted_tasks(count, seed=seed))


def _left(guard: Guard | None, task: PrivateTask) -> tuple[str, float]:
    """What leaves of a task, and the processor seconds of checking it when its facts are prepared."""
    if guard is None:
        return task.text, 0.0
    guard.check(PrivateTask(text="", task_type=task.task_type, profile=task.profile, history=task.history))
    begun = time.process_time()
    wire = guard.check(task).text
    return wire, time.process_time() - begun


def _stands(written: str, wire: str) -> bool:
    """Whether a plant stands on the wire as it was written; one of a single character may stand there by chance."""
    return len(written) > 1 and written in wire
