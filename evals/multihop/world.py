"""A made-up world of people, places, books and firms, and questions that need two to four of its passages.

Nothing in it is true anywhere else, so that no model can know it, and only somebody who has read the passages can
answer. It is kept apart from the agent: the two have nothing in common but the words of
:mod:`memagent.evals.multihop.vocabulary`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memagent.errors import InvalidInput
from memagent.evals.datasets.cases import DataFile
from memagent.evals.multihop.questions import Hop, HopQuestion, HopSet, Passage
from memagent.evals.multihop.vocabulary import RELATIONS, question_text

VERSION = 2

_REACHABLE = 3
"""Of so many questions of two hops one can be answered from one search: both of its passages name where it starts."""
_TRIES = 1_000
"""So many chains in a row that are no new question mean that there are hardly any left."""
_SHARES = {"person": 0.36, "city": 0.12, "province": 0.03, "book": 0.25, "firm": 0.24}
_FOLLOWS = {
    "person": (("teacher", "person"), ("birthplace", "city")),
    "city": (("province", "province"),),
    "province": (("capital", "city"),),
    "book": (("author", "person"),),
    "firm": (("founder", "person"), ("head office", "city")),
}
"""For each kind of entity its relations, and the kind that each leads to."""
_STARTS = ("book", "firm", "person")
_ONSETS = ("b", "br", "d", "dr", "f", "g", "gl", "h", "k", "l", "m", "n", "p", "r", "s", "st", "t", "th", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ae", "ei", "ia", "or", "an", "el", "in")
_ADJECTIVES = ("Silent", "Amber", "Hollow", "Distant", "Broken", "Winter", "Crimson", "Paper", "Sunken", "Iron")
_NOUNS = ("Harbour", "Lantern", "Orchard", "Mirror", "Bridge", "Garden", "Compass", "Tower", "River", "Clock")
_FILLERS = {
    "person": (
        "{s} kept a diary for most of a long life.",
        "Letters of {s} are held in several collections.",
        "{s} is remembered for a dry sense of humour.",
    ),
    "city": ("The old market of {s} burned down twice.", "A tramway crosses {s} from north to south."),
    "province": ("{s} is known for its orchards.", "Two rivers meet in {s}."),
    "book": ("Critics were divided over {s} when it came out.", "{s} has been translated into nine languages."),
    "firm": ("{s} makes instruments for surveyors.", "The workshops of {s} employ a few hundred people."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Somebody or something with a passage of its own, and whom or what its relations lead to."""

    name: str
    kind: str
    facts: dict[str, str]


def make_world(*, questions: int = 240, passages: int = 1000, seed: int = 0) -> HopSet:
    """A corpus of ``passages`` and ``questions`` of two, three and four hops in equal parts; the same for one seed.

    A third of the questions of two hops can be answered from one search, so that one search is no hopeless rival: the
    second passage names where the question starts. All others name only the beginning of their chain.

    Raises InvalidInput for sizes that are too small to hold a world.
    """
    if passages < 100 or questions < 1:
        raise InvalidInput(f"{passages} passages, {questions} questions", hint="at least 100 passages and a question")
    chance = random.Random(f"memagent world 1 {seed}")  # the entities and questions of version 1
    entities = _entities(passages, chance)
    ids = {name: f"w{number:05d}" for number, name in enumerate(entities)}
    texts = {name: _told(entity, chance) for name, entity in entities.items()}
    chains = tuple(_chains(questions, entities, chance))
    _mention(texts, chains, entities)
    told = tuple(Passage(id=ids[name], title=name, text=text) for name, text in texts.items())
    asked = tuple(_question(chain, number, entities, ids) for number, chain in enumerate(chains))
    if len(asked) < questions:
        raise InvalidInput(f"{passages} passages hold {len(asked)} questions", hint="make more passages")
    key = hashlib.sha256(f"world {VERSION} {seed} {questions} {passages}".encode()).hexdigest()
    return HopSet(
        name="world",
        split="all",
        files=(DataFile(name=f"world-{seed}", sha256=key),),
        passages=told,
        questions=asked,
    )


def _entities(passages: int, chance: random.Random) -> dict[str, Entity]:
    names: dict[str, list[str]] = {kind: [] for kind in _SHARES}
    taken: set[str] = set()
    counts = {kind: max(3, int(passages * share)) for kind, share in _SHARES.items()}
    counts["person"] += passages - sum(counts.values())
    families = [_word(chance, 2) for _ in range(max(10, counts["person"] // 6))]
    for kind, count in counts.items():
        while len(names[kind]) < count:
            name = _name(kind, chance, families)
            if name.lower() not in taken:
                taken.add(name.lower())
                names[kind].append(name)
    return {
        name: Entity(name=name, kind=kind, facts=_facts(name, kind, names, chance))
        for kind, of_kind in names.items()
        for name in of_kind
    }


def _facts(name: str, kind: str, names: dict[str, list[str]], chance: random.Random) -> dict[str, str]:
    facts = {}
    for relation, leads_to in _FOLLOWS[kind]:
        facts[relation] = chance.choice([other for other in names[leads_to] if other != name])
    facts["year"] = str(chance.randint(1400, 1990))
    return facts


def _name(kind: str, chance: random.Random, families: Sequence[str]) -> str:
    match kind:
        case "person":
            # Families are shared, so that names alone do not tell two people apart.
            return f"{_word(chance, 2)} {chance.choice(families)}"
        case "book":
            return f"The {chance.choice(_ADJECTIVES)} {chance.choice(_NOUNS)} at {_word(chance, 2)}"
        case "firm":
            return f"{_word(chance, 2)} {chance.choice(('Works', 'Brothers', 'Foundry', 'Instruments'))}"
        case _:
            return _word(chance, 3)


def _word(chance: random.Random, syllables: int) -> str:
    return "".join(chance.choice(_ONSETS) + chance.choice(_VOWELS) for _ in range(syllables)).capitalize()


def _told(entity: Entity, chance: random.Random) -> str:
    """The passage: the facts in one of their wordings each, among sentences that say nothing to the purpose."""
    sentences = [
        chance.choice(RELATIONS[relation].sentences).format(s=entity.name, o=other)
        for relation, other in entity.facts.items()
    ]
    fillers = _FILLERS[entity.kind]
    sentences += [filler.format(s=entity.name) for filler in chance.sample(fillers, k=min(2, len(fillers)))]
    chance.shuffle(sentences)
    return " ".join(sentences)


def _mention(texts: dict[str, str], chains: Sequence[tuple[str, tuple[str, ...]]], entities: dict[str, Entity]) -> None:
    """Let the second passage of some questions of two hops name where they start, without saying why."""
    for start, relations in [chain for chain in chains if len(chain[1]) == 2][::_REACHABLE]:
        bridge = entities[start].facts[relations[0]]
        texts[bridge] += f" Whoever speaks of {bridge} mentions {start}."


def _chains(wanted: int, entities: dict[str, Entity], chance: random.Random) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Starts and relations: no entity twice on the way, no chain twice."""
    starts = [name for name, entity in entities.items() if entity.kind in _STARTS]
    made: set[tuple[str, tuple[str, ...]]] = set()
    in_vain = 0
    while len(made) < wanted and in_vain < _TRIES:
        start, hops = chance.choice(starts), 2 + len(made) % 3
        chain = _walk(start, hops, entities, chance)
        in_vain += 1
        if chain is not None and (start, chain) not in made:
            made.add((start, chain))
            in_vain = 0
            yield start, chain


def _walk(start: str, hops: int, entities: dict[str, Entity], chance: random.Random) -> tuple[str, ...] | None:
    here, seen, chain = start, {start}, []
    for _ in range(hops):
        relation = chance.choice(_FOLLOWS[entities[here].kind])[0]
        here = entities[here].facts[relation]
        if here in seen:
            return None
        seen.add(here)
        chain.append(relation)
    return tuple(chain)


def _question(
    chain: tuple[str, tuple[str, ...]], number: int, entities: dict[str, Entity], ids: dict[str, str]
) -> HopQuestion:
    start, relations = chain
    here, gold, hops = start, [], []
    for place, relation in enumerate(relations):
        gold.append(ids[here])
        of = here if place == 0 else f"#{place}"
        here = entities[here].facts[relation]
        hops.append(Hop(question=f"{relation} of {of}", answer=here))
    return HopQuestion(
        id=f"world-{number:04d}",
        text=question_text(start, relations),
        type=f"{len(relations)}-hop",
        answers=(here,),
        gold=tuple(gold),
        split="all",
        hops=tuple(hops),
    )
