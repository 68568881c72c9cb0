"""Tasks with private facts planted in them, and tasks without: what the privacy guard is measured on.

A seed gives the same tasks on every machine. Their people are made up; each has a profile and four texts written
before. A planted task holds one fact, as it is, disguised (:mod:`memagent.evals.lsrp.disguises`) or paraphrased; some
profiles hold values meant to confuse a guard. A clean task holds none, but words of the users' texts that are common,
names and numbers of somebody else, and words that are in no word list.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask, Written
from memagent.evals.lsrp import planted_words as words
from memagent.evals.lsrp.disguises import FOR_NUMBERS, FOR_WORDS

PARAPHRASE = "paraphrase"
ATTACKED = ("city", "occupation", "health")
"""Fields with a value of a short list and a paraphrase each: what a reconstruction attack guesses."""

Told: TypeAlias = Literal["nothing", "as it is", "disguised", "paraphrased"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A fact in a task's text: the field of the profile (or ``history``), the fact, its disguise, what stands."""

    source: str
    fact: str
    disguise: str
    written: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedTask:
    """A task and what was planted in it (None: it is clean)."""

    private: PrivateTask
    plant: Plant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A made-up user: profile, texts, single facts that the texts hold, and paraphrases of some values by field."""

    profile: dict[str, str]
    history: tuple[Written, ...]
    told: tuple[str, ...]
    paraphrases: dict[str, str]


def planted_tasks(
    count: int, *, seed: int = 0, people: int = 30, kind: Literal["planted", "clean", "both"] = "both"
) -> Iterator[PlantedTask]:
    """``count`` tasks of ``people`` made-up users; of both kinds every second one is clean."""
    rng = random.Random(f"planted {seed}")
    population = [person(rng, confusing=index % 4 == 3) for index in range(people)]
    # Clean tasks belong to people whose profile holds no word that stands in every text.
    plain = [each for each in population if "remark" not in each.profile]
    for index in range(count):
        if kind == "planted" or (kind == "both" and index % 2 == 0):
            yield _planted(population[rng.randrange(people)], rng)
        else:
            yield _clean(plain[rng.randrange(len(plain))], rng)


def person(rng: random.Random, *, confusing: bool = False) -> Person:
    """One made-up user. ``confusing``: the profile holds a remark that is meant to break a guard."""
    first, last = rng.choice(words.FIRST_NAMES), rng.choice(words.SURNAMES)
    city, work, ill, sex = (rng.choice(sorted(x)) for x in (words.CITIES, words.WORK, words.HEALTH, words.SEX))
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2005)
    area = rng.randint(200, 989)
    profile = {
        "name": f"{first} {last}",
        "age": str(2026 - year),
        "sex": sex,
        "city": city,
        "occupation": work,
        "health": ill,
        "birthday": f"{year}-{month:02}-{day:02}",
        "e-mail": f"{first}.{last}{rng.randint(10, 99)}@{rng.choice(words.EMPLOYERS)}.example".lower().replace("'", ""),
        "phone": f"+{rng.randint(20, 98)} {area} {rng.randint(1000000, 9999999)}",
        "street": f"{rng.choice(words.STREETS)} {rng.randint(2, 199)}",
    }
    if confusing:
        profile["remark"] = rng.choice(words.INJECTED)
    history, told = _texts(rng)
    paraphrases = {"city": words.CITIES[city], "occupation": words.WORK[work], "health": words.HEALTH[ill]}
    return Person(profile=profile, history=history, told=told, paraphrases=paraphrases)


def tasks_that_tell(whose: Person, rng: random.Random, told: Told) -> list[PrivateTask]:
    """A task for each attacked field that tells its value in some way, or as many clean tasks."""
    if told == "nothing":
        return [_clean(whose, rng).private for _ in ATTACKED]
    made = []
    for name in ATTACKED:
        fact = whose.profile[name]
        disguise = FOR_WORDS[rng.choice(sorted(FOR_WORDS))] if told == "disguised" else FOR_WORDS["as it is"]
        written = whose.paraphrases[name] if told == "paraphrased" else disguise(fact, rng)
        made.append(_task(whose, Plant(source=name, fact=fact, disguise=told, written=written), rng).private)
    return made


def _texts(rng: random.Random) -> tuple[tuple[Written, ...], tuple[str, ...]]:
    """Four texts, and the names, places and numbers in them."""
    told: dict[str, str] = {
        "friend": f"{rng.choice(words.FIRST_NAMES[:-4])} {rng.choice(words.SURNAMES[:-3])}",
        "employer": rng.choice(words.EMPLOYERS),
        "street": rng.choice(words.STREETS),
        "pet": rng.choice(words.PETS),
        "far": rng.choice(words.FAR),
        "rent": str(rng.randint(410, 989)),
        "minutes": str(rng.randint(13, 89)),
        "year": str(rng.randint(1990, 2025)),
    }
    written = tuple(Written(title=f"Note on {title}", text=text.format(**told)) for title, text in _titled())
    # A pet's name may be a public word, which as a word of a text is no private fact.
    return written, tuple(value for name, value in told.items() if name != "pet")


def _titled() -> Iterator[tuple[str, str]]:
    return zip(("moving", "a dog", "a talk", "a friendship"), words.HISTORY, strict=True)


def _planted(whose: Person, rng: random.Random) -> PlantedTask:
    if rng.random() < 0.1:
        source = rng.choice(sorted(whose.paraphrases))
        written = whose.paraphrases[source]
        return _task(whose, Plant(source=source, fact=whose.profile[source], disguise=PARAPHRASE, written=written), rng)
    if rng.random() < 0.3:
        source, fact = "history", rng.choice(whose.told)
    else:
        source = rng.choice(sorted(whose.profile))
        fact = whose.profile[source]
    # A name in one piece or one of its words: both are facts.
    if source in {"name", "history"} and " " in fact and rng.random() < 0.5:
        fact = max(fact.split(), key=len)
    disguise, written = _disguised(source, fact, rng)
    return _task(whose, Plant(source=source, fact=fact, disguise=disguise, written=written), rng)


def _disguised(source: str, fact: str, rng: random.Random) -> tuple[str, str]:
    """The name of a disguise that leaves the fact one, and the fact in it."""
    if source in {"remark", "sex"} or rng.random() < 0.2:
        return "as it is", fact
    digits_only = not any(character.isalpha() for character in fact)
    names = FOR_NUMBERS if digits_only else FOR_WORDS
    name = rng.choice(sorted(names))
    return name, names[name](fact, rng)


def _task(whose: Person, plant: Plant, rng: random.Random) -> PlantedTask:
    text = rng.choice(words.PLANTED).replace("{fact}", plant.written)
    return PlantedTask(private=_private(whose, text, rng), plant=plant)


def _clean(whose: Person, rng: random.Random) -> PlantedTask:
    texts = [*whose.profile.values(), *(written.text for written in whose.history)]
    private = {int(digits) for text in texts for digits in re.findall(r"\d+", text)}
    number = rng.choice([each for each in range(2, 100) if each not in private])
    text = rng.choice(words.CLEAN).format(
        thing=rng.choice(words.THINGS), place=rng.choice(words.PLACES), liked=rng.choice(words.LIKED), number=number
    )
    return PlantedTask(private=_private(whose, text, rng))


def _private(whose: Person, text: str, rng: random.Random) -> PrivateTask:
    return PrivateTask(
        text=text, task_type=rng.choice(list(TaskType)), profile=dict(whose.profile), history=whose.history
    )
