"""A ``/retrieve`` endpoint over any searcher, in the shape that Search-R1's users know.

``POST /retrieve`` takes ``{"queries": [...], "topk": 3, "return_scores": true}`` and answers
``{"result": [[{"document": {"id", "contents"}, "score"}, ...], ...]}``, a list for each query; without
``return_scores`` the documents stand there alone. ``topk`` may be left out. ``GET /health`` says that it runs.
Source: the retrieval server of Search-R1 (repository PeterGriffinJin/Search-R1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from memagent.agents.reason_rag.endpoint import contents_of
from memagent.agents.reason_rag.searching import Document, Searcher, searched
from memagent.errors import InvalidInput, MemagentError, MissingExtra

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_QUERIES = 1_000
"""Queries of one call, at most."""
MOST_DOCUMENTS = 1_000
"""Documents for one query, at most."""


class RetrieveRequest(BaseModel):
    """What a caller sends."""

    queries: list[str] = Field(max_length=MOST_QUERIES)
    topk: int | None = Field(default=None, ge=1, le=MOST_DOCUMENTS)
    return_scores: bool = False


def retrieve_app(searcher: Searcher, *, top_k: int = 3) -> FastAPI:
    """The application; ``top_k`` documents are found where the caller does not say how many.

    A search that fails is answered with 503 where repeating it may help, else with 400 (what was asked cannot be
    searched for) or 500, and ``{"detail": ...}``. Raises MissingExtra without FastAPI.
    """
    try:
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse
    except ImportError:
        raise MissingExtra("the endpoint needs FastAPI", hint='pip install "memagent[serve]"') from None
    if not 1 <= top_k <= MOST_DOCUMENTS:
        raise InvalidInput(f"top_k is {top_k}", hint=f"between 1 and {MOST_DOCUMENTS:,}")
    app = FastAPI(title="memagent retrieve", docs_url=None, redoc_url=None)

    # Not async: a search takes the processor, and runs in a thread of the server's pool.
    def retrieve(request: RetrieveRequest) -> dict[str, Any]:
        found = [searched(searcher, query, request.topk or top_k) for query in request.queries]
        return {"result": [[_shown(one, scored=request.return_scores) for one in documents] for documents in found]}

    def health() -> dict[str, str]:
        return {"status": "ok"}

    def failed(_: Any, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=_status(error))

    app.post("/retrieve")(retrieve)
    app.get("/health")(health)
    app.add_exception_handler(MemagentError, failed)
    return app


def serve_retrieve(
    searcher: Searcher, *, host: str = "127.0.0.1", port: int = 8001, top_k: int = 3, log_level: str = "warning"
) -> None:
    """Serve until the process is told to end. Raises MissingExtra without FastAPI or uvicorn."""
    app = retrieve_app(searcher, top_k=top_k)
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("the endpoint needs uvicorn", hint='pip install "memagent[serve]"') from None
    uvicorn.run(app, host=host, port=port, log_level=log_level)


def _shown(document: Document, *, scored: bool) -> dict[str, Any]:
    shown = {"id": document.id, "contents": contents_of(document)}
    return {"document": shown, "score": document.score} if scored else shown


def _status(error: Exception) -> int:
    if isinstance(error, InvalidInput):
        return 400
    return 503 if getattr(error, "retryable", False) else 500
