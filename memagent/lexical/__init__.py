"""Word search: text analysis in several languages, and BM25 as an index derived from stored term counts."""

from __future__ import annotations

from memagent.lexical.analysis import ANALYSIS_VERSION, analyze, clear_cache, query_terms
from memagent.lexical.index import LexicalIndex
from memagent.lexical.languages import LANGUAGES, detect_language
from memagent.lexical.related import QueryTerms, Related, related_terms
from memagent.lexical.terms import (
    Terms,
    TermTable,
    languages_of,
    term_table,
    terms_from_bytes,
    terms_from_many,
    terms_to_bytes,
)
from memagent.lexical.visible import DocumentKind

__all__ = [
    "ANALYSIS_VERSION",
    "LANGUAGES",
    "DocumentKind",
    "LexicalIndex",
    "QueryTerms",
    "Related",
    "TermTable",
    "Terms",
    "analyze",
    "clear_cache",
    "detect_language",
    "languages_of",
    "query_terms",
    "related_terms",
    "term_table",
    "terms_from_bytes",
    "terms_from_many",
    "terms_to_bytes",
]
