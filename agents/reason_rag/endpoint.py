"""Searches a ``/retrieve`` endpoint in the shape that Search-R1's users know.

``{"queries": [...], "topk": 3, "return_scores": true}`` is answered with
``{"result": [[{"document": {"id", "contents"}, "score"}, ...], ...]}``, a list for each query; ``contents`` is the
title, often in quotation marks, and the text on the lines below it. Source: the retrieval server of Search-R1
(arXiv 2503.09516, repository PeterGriffinJin/Search-R1).
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from memagent.agents.reason_rag.searching import Document
from memagent.errors import InvalidInput, ModelError, SearchFailed, SearchUnavailable
from memagent.llm.http import ServerHttp

_WAIT = 0.5  # seconds before the first repetition; each further wait is twice as long


class EndpointSearcher:
    """Searches a server. Safe from several threads.

    ``url``: its address, with or without ``/retrieve``. ``retries``: repetitions of a call to which nothing, or an
    error of the server, came back. Raises SearchUnavailable (retryable) when these are used up, SearchFailed for an
    answer that cannot be used.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, retries: int = 2, api_key: str | None = None) -> None:
        if not timeout > 0 or retries < 0:
            raise InvalidInput(f"timeout {timeout}, retries {retries}", hint="timeout is above 0, retries 0 or more")
        self._http = ServerHttp(url.strip().rstrip("/").removesuffix("/retrieve"), api_key=api_key)
        self._timeout = timeout
        self._retries = retries

    @property
    def url(self) -> str:
        """Where it asks."""
        return f"{self._http.url}/retrieve"

    def search(self, query: str, k: int) -> tuple[Document, ...]:
        """The k documents that fit best, as the server ranks them."""
        return self.search_many([query], k)[0]

    def search_many(self, queries: list[str], k: int) -> list[tuple[Document, ...]]:
        """As :meth:`search`, for several queries in one call."""
        if not queries:
            return []
        answer = self._asked({"queries": queries, "topk": k, "return_scores": True})
        found = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(found, list) or len(found) != len(queries):
            raise self._unusable(f"it holds no list of {len(queries)} results")
        return [tuple(self._document(one) for one in self._items(results))[:k] for results in found]

    def _asked(self, body: dict[str, Any]) -> Any:
        for repetition in range(self._retries + 1):
            try:
                answer = self._http.post("/retrieve", body, timeout=self._timeout)
                break
            except ModelError as error:  # what the module for model servers says of any server
                if not error.retryable:
                    raise SearchFailed(
                        f"{self.url}: {error.message}", hint="is it the address of a /retrieve endpoint?"
                    ) from error
                if repetition == self._retries:
                    raise SearchUnavailable(
                        f"{self.url}: {error.message}", hint="see whether the server runs"
                    ) from error
            time.sleep(_WAIT * 2**repetition)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise self._unusable("it is not JSON") from None

    def _items(self, results: Any) -> list[Any]:
        if not isinstance(results, list):
            raise self._unusable("its result is no list of lists")
        return results

    def _document(self, found: Any) -> Document:
        """One result: with its score, or, from a server that gives none, the bare document."""
        inner = found.get("document", found) if isinstance(found, dict) else None
        contents = inner.get("contents", inner.get("text")) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or not isinstance(contents, str):
            raise self._unusable("a document has no contents")
        title, text = titled(contents)
        name = inner.get("id")
        return Document(
            id=contents if name is None else str(name),
            title=str(inner.get("title") or title),
            text=text,
            score=_score(found.get("score")),
        )

    def _unusable(self, why: str) -> SearchFailed:
        return SearchFailed(
            f"the answer of {self.url} cannot be used: {why}", hint="is it the address of a /retrieve endpoint?"
        )


def _score(given: Any) -> float:
    """A score that is a number, else 0."""
    try:
        score = float(given) if isinstance(given, int | float) else 0.0
    except OverflowError:  # a whole number of more digits than a float has room for
        return 0.0
    return score if math.isfinite(score) else 0.0


def titled(contents: str) -> tuple[str, str]:
    """Title and text of ``contents``; without a second line there is no title."""
    first, newline, rest = contents.partition("\n")
    if not newline:
        return "", contents.strip()
    title = first.strip()
    quoted = len(title) > 1 and title[0] == title[-1] == '"'
    return title[1:-1] if quoted else title, rest.strip()


def contents_of(document: Document) -> str:
    """The inverse of :func:`titled`, as Search-R1's corpora write it: the first line is the title, also an empty one.

    A client of Search-R1 takes the first line for the title, whatever it is.
    """
    return f'"{" ".join(document.title.split())}"\n{document.text}'
