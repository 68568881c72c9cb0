"""Placeholders: what stands in a text in place of a private piece, and how it is found again in what a model wrote."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from memagent.agents.lsrp.guard.folding import squeezed
from memagent.agents.lsrp.ports import Finding
from memagent.errors import InvalidInput

_LABEL = re.compile("[^A-Z]+")
_NEUTRAL = ("REDACTED", "HIDDEN", "LEFTOUT", "BLANK")
"""Labels for kinds whose own name is a private fact."""

LONGEST = 8_000_000
"""Characters of a restored text at most, far more than any guideline or answer has."""

_FLAGS = re.IGNORECASE | re.ASCII
_SEPARATOR = r"[\s\u00a0_\-\u2010-\u2015\\]{0,3}"
# A placeholder as a model may have changed it: other case, brackets, separators, or none.
_OPEN = r"[\[({<\u3010\uff3b]\s*"
_CLOSE = r"\s*[\])}>\u3011\uff3d]"


def redacted(
    text: str, findings: Sequence[Finding], facts: Collection[str], numbers: Collection[str]
) -> tuple[str, dict[str, str]]:
    """``text`` with a placeholder for each finding (sorted, apart), and placeholder to the text that stood there.

    The same piece has the same placeholder everywhere. No placeholder is one that the text holds already, in whatever
    form, and neither its label is a private fact (``facts``, folded) nor its number (``numbers``).
    """
    made: dict[tuple[str, str], str] = {}
    pieces: list[str] = []
    written = 0
    for finding in findings:
        piece = text[finding.start : finding.end]
        label = _label(finding.kind, facts)
        if (label, piece) not in made:
            made[label, piece] = f"[{label}_{_free(label, text, made.values(), numbers)}]"
        pieces += [text[written : finding.start], made[label, piece]]
        written = finding.end
    pieces.append(text[written:])
    return "".join(pieces), {placeholder: piece for (_, piece), placeholder in made.items()}


def restored(text: str, placeholders: Mapping[str, str]) -> str:
    """``text`` with the private pieces in place of the placeholders.

    A placeholder is known again in another case, with other brackets, spaces or hyphens in it; without brackets only
    in its own spelling (``NAME_1``). What follows it (``[NAME_1]'s``) stays. Raises InvalidInput for more than
    ``LONGEST`` characters: nobody is to fill the device's memory by saying a long piece's placeholder again and again.
    """
    if not placeholders:
        return text
    pieces = {_core(placeholder): piece for placeholder, piece in placeholders.items()}
    pattern = _any_of(placeholders)
    length = len(text) + sum(len(pieces[_core(match[0])]) for match in pattern.finditer(text))
    if length > LONGEST:
        raise InvalidInput("with its placeholders restored the text is too long", hint="it repeats one over and over")
    return pattern.sub(lambda match: pieces[_core(match[0])], text)


def left_over(text: str, placeholders: Collection[str] = ()) -> int:
    """How many placeholders stand in ``text``: of ``placeholders``, or anything of their form if there are none."""
    if placeholders:
        return len(_any_of(placeholders).findall(text))
    return len(re.findall(r"\[[A-Z]{2,}_\d+\]", text))


def _any_of(placeholders: Collection[str]) -> re.Pattern[str]:
    labels: dict[str, list[str]] = {}
    for placeholder in placeholders:
        label, _, count = placeholder[1:-1].rpartition("_")
        labels.setdefault(label, []).append(count)
    return re.compile("|".join(_pattern(label, "|".join(counts)) for label, counts in labels.items()), _FLAGS)


def _pattern(label: str, counts: str) -> str:
    name = "".join(re.escape(character) for character in label)
    bracketed = rf"{_OPEN}{name}{_SEPARATOR}(?:{counts}){_CLOSE}"
    return rf"{bracketed}|(?<![^\W_])(?<!_){name}\\?_(?:{counts})(?!\w)"


def _core(placeholder: str) -> str:
    """A placeholder's label and number, however it is written."""
    return "".join(character for character in placeholder.upper() if character.isascii() and character.isalnum())


def _label(kind: str, facts: Collection[str]) -> str:
    for label in (_LABEL.sub("", kind.upper()) or _NEUTRAL[0], *_NEUTRAL):
        if not any(form in facts for form in squeezed(label)):
            return label
    return "X" * (1 + max(map(len, facts)))


def _free(label: str, text: str, taken: Collection[str], numbers: Collection[str]) -> int:
    """The smallest number that is not taken, not private, and that the text does not use with this label."""
    used = {int(each) for each in re.findall(rf"{label}{_SEPARATOR}(\d{{1,9}})", text, _FLAGS)}
    count = 1
    while count in used or str(count) in numbers or f"[{label}_{count}]" in taken:
        count += 1
    return count
