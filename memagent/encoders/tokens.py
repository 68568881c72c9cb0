"""Text to token ids and back to counts, with the tokenizers library alone (no transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Tokens:
    """A model's tokenizer. Safe from several threads: nothing is changed after construction.

    Texts are tokenised one by one on purpose: the library's own batch call starts a pool of threads
    that a process must not fork after, and saves nothing beside the model's work.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        probe = tokenizer.encode("a")
        special = probe.special_tokens_mask
        body = next((position for position, flag in enumerate(special) if not flag), len(special))
        self._before = probe.ids[:body]
        self._after = [token for token, flag in zip(probe.ids[body:], special[body:], strict=True) if flag]
        self._unknown = _unknown_id(tokenizer)

    @classmethod
    def from_file(cls, path: Path) -> Tokens:
        """Read a ``tokenizer.json``; raises :class:`EncoderError` when it is missing or damaged."""
        from tokenizers import Tokenizer

        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EncoderError(f"cannot read {path}", hint="reinstall or download the model") from error
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises the bare class
            raise EncoderError(f"{path} is no tokenizer: {error}", hint="reinstall or download the model") from error
        return cls(tokenizer)

    @property
    def specials(self) -> int:
        """How many special tokens are put around a text."""
        return len(self._before) + len(self._after)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens left out."""
        encode = self._tokenizer.encode
        return [encode(text, add_special_tokens=False).ids for text in texts]

    def framed(self, ids: list[int]) -> list[int]:
        """Token ids as the model wants them: special tokens put around."""
        return [*self._before, *ids, *self._after]

    def count(self, text: str) -> int:
        """Number of tokens of a text, special tokens not counted."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Share of the texts' tokens, 0 to 1, that the vocabulary does not have; 0 when there are no tokens."""
        ids = self.ids(texts)
        total = sum(len(tokens) for tokens in ids)
        if self._unknown is None or not total:
            return 0.0
        return sum(tokens.count(self._unknown) for tokens in ids) / total


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of the token for what is not in the vocabulary; byte-level vocabularies have none."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    names = [unknown] if unknown else ["[UNK]", "<unk>"]
    return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), None)
