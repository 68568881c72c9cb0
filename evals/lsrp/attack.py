"""A reconstruction attack: guess the fields of a profile from what left the device, and compare with chance.

The attacker knows which values a field can have and how frequent they are (the population), not whose is which. A
value that can be read from the texts (as :mod:`memagent.evals.lsrp.crossing` reads them) is taken; else the one whose
embedding is nearest to those of the texts, each value's mean similarity to all users' texts taken off, so that a
value that is near to everything is not guessed for everybody. Chance is the attacker without the texts: the most
frequent value, guessed for everybody.

An attack that fails proves little: a better attacker may succeed. One that succeeds shows a leak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.errors import InvalidInput, ModelError
from memagent.evals.lsrp.crossing import Fact, crossed
from memagent.intervals import Interval, bootstrap
from memagent.llm.flow import Steps, asked
from memagent.prompts.lsrp_attack import guess_profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A user as the attack sees and judges one: the texts that left the device, and the true ``profile``."""

    sent: tuple[str, ...]
    profile: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """How often a field was guessed rightly, with a bootstrap interval over users; ``chance`` is the prior's guess."""

    field: str
    accuracy: Interval
    chance: float
    users: int


def candidates(victims: Sequence[Victim], fields: Sequence[str]) -> dict[str, list[str]]:
    """The values of each field in the population, the most frequent first, equal ones in order of the alphabet."""
    found = {}
    for name in fields:
        counts = Counter(victim.profile[name] for victim in victims)
        found[name] = sorted(counts, key=lambda value: (-counts[value], value))
    return found


def guess_by_texts(
    victims: Sequence[Victim], values: Mapping[str, Sequence[str]], encoder: Encoder
) -> list[dict[str, str]]:
    """The attack's guesses for each user, by reading and by nearest neighbour."""
    vectors = [encoder.encode_documents(list(victim.sent)) if victim.sent else None for victim in victims]
    guesses: list[dict[str, str]] = [{} for _ in victims]
    for name, listed in values.items():
        described = encoder.encode_documents([f"{name}: {value}" for value in listed])
        near = np.stack(
            [np.zeros(len(listed)) if each is None else (each @ described.T).max(axis=0) for each in vectors]
        )
        for row, choice in enumerate(_best(near)):
            read = _read(victims[row], name, listed)
            guesses[row][name] = read or listed[choice]
    return guesses


def guess_by_vectors(
    vectors: NDArray[np.float32], values: Mapping[str, Sequence[str]], encoder: Encoder
) -> list[dict[str, str]]:
    """Guesses from one unit vector a user, such as an index of embeddings holds: the value nearest to it."""
    guesses: list[dict[str, str]] = [{} for _ in vectors]
    for name, listed in values.items():
        described = encoder.encode_documents([f"{name}: {value}" for value in listed])
        for row, choice in enumerate(_best(vectors @ described.T)):
            guesses[row][name] = listed[choice]
    return guesses


def guess_by_model(sent: Sequence[str], values: Mapping[str, Sequence[str]]) -> Steps[dict[str, str]]:
    """A language model's guesses for one user. Where it names no listed value, or fails, the prior's guess stands."""
    guesses = {name: listed[0] for name, listed in values.items()}
    try:
        reply = yield from asked(guess_profile(sent, values))
    except ModelError:
        return guesses
    for guess in reply.value.guesses:
        named = {value.casefold(): value for value in values.get(guess.field, ())}
        if guess.value.casefold() in named:
            guesses[guess.field] = named[guess.value.casefold()]
    return guesses


def judged(
    victims: Sequence[Victim], guesses: Sequence[Mapping[str, str]], values: Mapping[str, Sequence[str]]
) -> list[Attacked]:
    """The attack's accuracy by field; raises InvalidInput unless there is a guess for each user."""
    if len(victims) != len(guesses) or not victims:
        raise InvalidInput(f"{len(guesses)} guesses for {len(victims)} users", hint="one for each, and at least one")
    made = []
    for name, listed in values.items():
        right = [float(guess[name] == victim.profile[name]) for victim, guess in zip(victims, guesses, strict=True)]
        prior = sum(victim.profile[name] == listed[0] for victim in victims) / len(victims)
        interval = bootstrap(np.array(right)[:, None])[0]
        made.append(Attacked(field=name, accuracy=interval, chance=prior, users=len(victims)))
    return made


def _read(victim: Victim, name: str, listed: Sequence[str]) -> str | None:
    """The longest listed value that can be read from the texts."""
    facts = [Fact("value", value, name) for value in listed]
    seen = crossed(facts, "\n".join(victim.sent))
    return max((fact.text for fact in seen), key=len, default=None)


def _best(near: NDArray[np.floating]) -> list[int]:
    """The column of each row whose similarity stands out most among its column's; the first of equal ones."""
    centred = near - near.mean(axis=0, keepdims=True)
    return [int(choice) for choice in np.round(centred, 6).argmax(axis=1)]
