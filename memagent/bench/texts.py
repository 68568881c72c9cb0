"""Synthetic conversations: a seeded grammar over 5,000 words, the frequent ones used as often as in real text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice, product
from random import Random
from string import Formatter

from memagent.records import Message, Session

_WORDS = {
    "noun": "day work house friend book trip recipe garden train doctor meeting phone city dog cat kitchen "
    "concert job sister brother mother father garage budget weekend coffee tea bread soup guitar piano "
    "bike car flight hotel beach mountain river lake forest school teacher student class exam letter "
    "photo camera movie series game team coach birthday wedding party present cake dinner lunch breakfast "
    "restaurant market shop shoe jacket coat dress shirt laptop screen keyboard printer battery charger "
    "account password contract rent landlord neighbour window door roof floor wall sofa table lamp bed "
    "shower sink oven fridge knee back shoulder tooth allergy pill diet run yoga swim painting museum "
    "ticket passport visa suitcase map bridge park bench tree flower seed tomato apple lemon honey",
    "verb": "see make find buy sell plan cook clean paint repair move visit call write read learn teach join "
    "leave start finish book cancel change return borrow lend carry build plant water pick order pack "
    "open close lock save send bring choose check compare discuss describe remember forget mention "
    "suggest recommend prefer avoid try test watch",
    "adjective": "new old good small large early late cheap dear quiet loud warm cold bright dark heavy light easy "
    "hard fresh dry sweet sour salty spicy green red blue yellow white black wooden broken empty full "
    "busy free happy tired",
    "name": "Anna Lisbon Tom Berlin Maria Paris Peter Oslo Julia Rome David Vienna Sofia Madrid Paul London Emma "
    "Dublin Jonas Porto Clara Prague Felix Zurich Laura Athens Simon Turin Nina Krakow Oscar Bergen Irene "
    "Ghent Martin Lyon",
}
_SIZES = {"noun": 2400, "verb": 900, "adjective": 900, "name": 800}

_SAID = (
    "I want to {verb} the {adjective} {noun} with {name} before the {noun}.",
    "We had to {verb} a {noun} in {name}, and it was {adjective}.",
    "My {noun} is {adjective} now, so I will {verb} it after the {noun}.",
    "Can you help me {verb} a {adjective} {noun} for {name}?",
    "{name} asked me about the {noun} that I did {verb} near the {noun}.",
    "I used to {verb} every {noun}, but the {noun} in {name} is too {adjective}.",
)
_REPLIED = (
    "That {noun} sounds {adjective}; you could {verb} the {noun} first and then ask {name}.",
    "I will remember that {name} likes the {adjective} {noun}.",
    "Then {verb} the {noun} before you go to {name}, it is more {adjective}.",
    "Would a {adjective} {noun} be better than the {noun} from {name}?",
)
_ASKED = (
    "When did I {verb} the {adjective} {noun}?",
    "What did {name} say about the {adjective} {noun}?",
    "Which {noun} did I want to {verb} with {name}?",
    "Where is the {noun} that I had to {verb} before the {noun}?",
)
_ONSETS = ("b", "br", "d", "f", "g", "gl", "k", "kr", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "z")
_RHYMES = ("a", "an", "ar", "e", "el", "en", "i", "in", "o", "on", "or", "u", "um", "us")
_BEGUN = datetime(2024, 1, 1, 9, tzinfo=UTC)


class Grammar:
    """Writes conversation turns of about 40 tokens; the same ``seed`` writes the same texts.

    The word of rank r of its kind comes up in proportion to 1 / r (Zipf's law). Past the first hundred or so
    words are made up of syllables: a tokenizer cuts them in pieces, as it does names.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        invented = _invented()
        self._words: dict[str, list[str]] = {}
        for kind, size in _SIZES.items():
            known = _WORDS[kind].split()
            more = islice(invented, size - len(known))
            self._words[kind] = known + [word.capitalize() if kind == "name" else word for word in more]
        self._weights = {kind: list(accumulate(1 / r for r in range(1, n + 1))) for kind, n in _SIZES.items()}

    def turn(self) -> tuple[str, str]:
        """What a user says, and the reply."""
        return self._sentence(_SAID), self._sentence(_REPLIED)

    def question(self) -> str:
        """A question about something that may have been said."""
        return self._sentence(_ASKED)

    def sessions(self, turns: int, *, per_session: int = 10, name: str = "s") -> Iterator[Session]:
        """Conversations with ``turns`` turns in all, a day between them; their ids begin with ``name``."""
        for number, start in enumerate(range(0, turns, per_session)):
            messages: list[Message] = []
            for place in range(min(per_session, turns - start)):
                at = _BEGUN + timedelta(days=number, minutes=place)
                said, replied = self.turn()
                messages += [
                    Message(role="user", content=said, event_at=at),
                    Message(role="assistant", content=replied, event_at=at),
                ]
            yield Session(messages=tuple(messages), id=f"{name}{number}")

    def _sentence(self, patterns: tuple[str, ...]) -> str:
        pattern = self._random.choice(patterns)
        parts = []
        for text, kind, _, _ in Formatter().parse(pattern):
            parts.append(text)
            if kind:
                parts += self._random.choices(self._words[kind], cum_weights=self._weights[kind])
        return "".join(parts)


def _invented() -> Iterator[str]:
    """Words that are in no dictionary, all different, of two syllables first, always in the same order."""
    syllables = [onset + rhyme for onset, rhyme in product(_ONSETS, _RHYMES)]
    words = ["".join(pair) for pair in product(syllables, repeat=2)]
    Random(1).shuffle(words)
    yield from words
