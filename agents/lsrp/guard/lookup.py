"""Looking up many private texts in another text at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_HEAD = 4


class Forms:
    """Forms of private texts, found by their first four characters (shorter ones by all of them)."""

    def __init__(self) -> None:
        self._heads: dict[str, list[tuple[str, str]]] = {}
        self._lengths: list[int] = []
        self._whole: set[str] = set()

    def __contains__(self, form: object) -> bool:
        return form in self._whole

    def add(self, form: str, key: str) -> None:
        """``form`` of the private text ``key``; the first text that has a form keeps it."""
        if not form or form in self._whole:
            return
        self._whole.add(form)
        head = form[:_HEAD]
        self._heads.setdefault(head, []).append((form, key))
        if len(head) not in self._lengths:
            self._lengths.append(len(head))

    def starting(self, text: str, places: Iterable[int]) -> Iterator[tuple[int, str, str]]:
        """Each place of ``places`` at which a form stands in ``text``, with the form and its private text."""
        heads, lengths = self._heads, self._lengths
        for at in places:
            for length in lengths:
                found = heads.get(text[at : at + length])
                if found:
                    yield from ((at, form, key) for form, key in found if text.startswith(form, at))

    def anywhere(self, text: str) -> Iterator[tuple[int, str, str]]:
        """All places at which a form of at least four characters stands in ``text``, with form and private text."""
        heads = self._heads
        for at in range(len(text) - _HEAD + 1):
            found = heads.get(text[at : at + _HEAD])
            if found:
                yield from ((at, form, key) for form, key in found if text.startswith(form, at))


class Near:
    """Words found by another that differs in one letter: changed, left out, added, or swapped with the next."""

    shortest = 5
    """Words of fewer letters are near too many others."""
    longest = 40

    def __init__(self) -> None:
        self._words: dict[str, list[str]] = {}

    def add(self, word: str) -> None:
        """Take in a word, if it is of letters alone and neither too short nor too long."""
        if self.shortest <= len(word) <= self.longest and word.isalpha():
            for form in {word, *_deletions(word)}:
                self._words.setdefault(form, []).append(word)

    def get(self, word: str) -> str | None:
        """A word that is one letter from ``word`` or the same, else None."""
        if not self._words or not self.shortest - 1 <= len(word) <= self.longest + 1:
            return None
        for form in (word, *_deletions(word)):
            for other in self._words.get(form, ()):
                if _one_apart(word, other):
                    return other
        return None


def _deletions(word: str) -> Iterator[str]:
    return (word[:index] + word[index + 1 :] for index in range(len(word)))


def _one_apart(one: str, two: str) -> bool:
    """Whether the optimal string alignment distance of two words is at most 1."""
    if abs(len(one) - len(two)) > 1:
        return False
    start = 0
    while start < min(len(one), len(two)) and one[start] == two[start]:
        start += 1
    left, right = one[start:], two[start:]
    if len(left) == len(right):
        swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
        return left[1:] == right[1:] or swapped
    return left[1:] == right if len(left) > len(right) else left == right[1:]
