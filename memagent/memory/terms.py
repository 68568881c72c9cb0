"""What the store keeps of a text for word search."""

from __future__ import annotations

from memagent.lexical import analyze, detect_language, terms_to_bytes


def lexical_terms(text: str) -> bytes:
    """The term counts of a text under its language."""
    language = detect_language(text)
    return terms_to_bytes(analyze(text, language), language)
