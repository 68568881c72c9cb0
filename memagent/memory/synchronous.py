"""The synchronous face of the memory layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from memagent.memory import (
    changing,
    describing,
    reading,
    writing,
)
from memagent.memory.background import Deriver
from memagent.memory.core import KEPT_UNITS, Core
from memagent.memory.flow import Flow, T, run
from memagent.memory.inferrer import Inferrer
from memagent.memory.messages import MAX_MESSAGE_BYTES, MessagesInput, SessionInput
from memagent.memory.queueing import Inferring
from memagent.memory.replies import (
    AddReply,
    ChangeReply,
    DeletedReply,
    HistoryEntry,
    Item,
    ListReply,
    SearchReply,
)
from memagent.memory.upkeep import Upkeep
from memagent.records import Granularity
from memagent.retrievers.association import Association

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.llm.model import ModelLike
    from memagent.retrievers.port import Retriever
    from memagent.stores.port import MemoryStore


class Memory(Upkeep):
    """A memory of each user, kept in one file a user.

    ``path``: a directory (made when something is first stored), or ``":memory:"``. ``encoder``: None is
    all-MiniLM-L6-v2, a text any sentence-transformers model by name or path. ``retriever``: what ``search`` uses unless
    told otherwise. ``max_open_users``: how many users' indexes are held in memory. ``timeout``: seconds to wait for a
    file that others are using. ``max_message_bytes``: the largest text of one message, in bytes of UTF-8.
    ``granularities``: which units are kept; turns and sessions always are, combinations only if named here.
    ``session_vectors``: "mean" of a session's turns (kept up to date with each turn), or of its "text" (computed when
    it is closed). ``background``: write summaries and keywords of sessions that the start of the next one has closed,
    when the memory is not in use. ``association``: how closed sessions are linked to earlier ones, for the retriever
    "memgas"; None not at all. ``store``: another place to keep histories. ``model``: a language model that writes
    facts, summaries and keywords of what is added with ``infer=True``: a LangChain chat model, a
    :class:`memagent.llm.Model`, the URL of a server, or a name; ``inferring``: what it writes, and how.

    Making one opens and reads nothing. Safe from several threads; several processes may use one directory.

        >>> from memagent import Memory
        >>> memory = Memory(":memory:")
        >>> _ = memory.add("I moved to Lisbon in May.", user_id="ann")
        >>> memory.search("Where does she live?", user_id="ann")["results"][0]["memory"]
        'I moved to Lisbon in May.'
    """

    def __init__(
        self,
        path: str | Path,
        *,
        encoder: Encoder | str | None = None,
        retriever: Retriever | str = "hybrid",
        max_open_users: int = 128,
        timeout: float = 30.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        granularities: Sequence[Granularity | str] = KEPT_UNITS,
        session_vectors: Literal["mean", "text"] = "mean",
        background: bool = True,
        association: Association | None = Association(),  # noqa: B008  # immutable
        store: MemoryStore | None = None,
        model: ModelLike | None = None,
        inferring: Inferring = Inferring(),  # noqa: B008  # immutable
    ) -> None:
        self._core = Core(
            path,
            encoder=encoder,
            retriever=retriever,
            max_open_users=max_open_users,
            timeout=timeout,
            max_message_bytes=max_message_bytes,
            granularities=granularities,
            session_vectors=session_vectors,
            background=background,
            association=association,
            store=store,
            model=model,
            inferring=inferring,
        )
        self._deriver = Deriver(self._core)
        if background:
            self._core.on_closed = self._deriver.schedule
        if model is not None:
            self._core.inferrer = Inferrer(self._core)

    def _run(self, flow: Flow[T]) -> T:
        self._core.begin()
        return run(flow)

    def add(
        self,
        messages: MessagesInput,
        *,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        infer: bool = False,
        wait: bool | float = False,
    ) -> AddReply:
        """Remember messages, word for word; durable when this returns.

        ``messages``: a text, a dict with ``role`` and ``content`` (OpenAI content parts are accepted; optional
        ``name``, ``timestamp``, ``id``), a LangChain message, or a list of these. They become turns of the session
        ``session_id`` (None: a new session), said at ``timestamp`` (None: now; never naive) unless they carry a
        time. A reply to the session's last turn completes that turn. One result for each turn added or completed.

        ``infer``: have this memory's language model write the facts that the messages tell and, when the session is
        closed, its summary and keywords. That is queued with the messages, and done in the background: see
        :meth:`inference`. ``wait``: until it is done, or for so many seconds; ``inference`` in the reply says how it
        ended.

        Raises InvalidInput (and its kinds) for what cannot be stored, StoreError if the file cannot be written;
        then nothing of the call is stored.
        """
        return self._run(
            writing.add(
                self._core,
                messages,
                user_id=user_id,
                session_id=session_id,
                agent_id=agent_id,
                timestamp=timestamp,
                metadata=metadata,
                infer=infer,
                wait=wait,
            )
        )

    def add_many(
        self, sessions: Iterable[SessionInput], *, user_id: str, infer: bool = False, wait: bool | float = False
    ) -> AddReply:
        """Remember whole sessions in one transaction, and close them.

        A session is a :class:`~memagent.Session` or a dict with ``messages`` and optional ``session_id``,
        ``timestamp``, ``agent_id``, ``metadata``.
        """
        return self._run(writing.add_many(self._core, sessions, user_id=user_id, infer=infer, wait=wait))

    def close_session(
        self, session_id: str, *, user_id: str, infer: bool = False, wait: bool | float = False
    ) -> AddReply:
        """Say that a session is over; writes its summary and keywords and returns them.

        A session is also closed by the start of the user's next one; its summary and keywords are then written in
        the background. Raises NotFound for an unknown session.
        """
        return self._run(writing.close_session(self._core, session_id, user_id=user_id, infer=infer, wait=wait))

    def describe_session(
        self, session_id: str, *, user_id: str, summary: str | None = None, keywords: str | None = None
    ) -> AddReply:
        """Give a closed session its summary, its keywords, or both, in place of those extracted from it.

        One result for each unit written. They stay until the session's turns change; then they are extracted anew.
        Raises NotFound for an unknown session, InvalidInput for an open one and for what cannot be stored.
        """
        return self._run(
            describing.describe_session(self._core, session_id, user_id=user_id, summary=summary, keywords=keywords)
        )

    def search(
        self,
        query: str,
        *,
        user_id: str,
        top_k: int = 5,
        retriever: Retriever | str | None = None,
        granularity: Granularity | str | None = None,
        filters: Mapping[str, Any] | None = None,
        as_of: datetime | str | None = None,
        superseded: bool = False,
        max_tokens: int | None = None,
        explain: bool = False,
    ) -> SearchReply:
        """The user's memories that answer ``query``, best first: ``top_k`` of them, or all if there are fewer.

        ``retriever``: a name (see ``memagent.retrievers.names()``) or a retriever; None is this memory's own.
        ``granularity``: "turn" (default; "session" for a retriever that ranks sessions only), "session", "summary",
        "keywords", "combination" or "fact". ``filters``: see :mod:`memagent.bank.filters`; they act inside the search.
        ``as_of`` hides what was said later. ``superseded``: facts too of which others have taken the place.
        ``max_tokens`` passes over results that do not fit. ``explain`` adds ``score_details`` to each result, and a
        ``trace``.

        Raises UnknownUser if nothing is stored for the user, InvalidInput (and its kinds) for unusable arguments.
        """
        return self._run(
            reading.search(
                self._core,
                query,
                user_id=user_id,
                top_k=top_k,
                retriever=retriever,
                granularity=granularity,
                filters=filters,
                as_of=as_of,
                superseded=superseded,
                max_tokens=max_tokens,
                explain=explain,
            )
        )

    def context(
        self,
        query: str,
        *,
        user_id: str,
        max_tokens: int = 1000,
        top_k: int = 20,
        retriever: Retriever | str | None = None,
        granularity: Granularity | str | None = None,
        filters: Mapping[str, Any] | None = None,
        as_of: datetime | str | None = None,
        superseded: bool = False,
    ) -> str:
        """A block of text for a prompt: the memories that answer ``query``, dated, in the order they were said.

        At most ``max_tokens`` tokens as the encoder counts them; "" if nothing fits.
        """
        return self._run(
            reading.context(
                self._core,
                query,
                user_id=user_id,
                max_tokens=max_tokens,
                top_k=top_k,
                retriever=retriever,
                granularity=granularity,
                filters=filters,
                as_of=as_of,
                superseded=superseded,
            )
        )

    def get(self, memory_id: str, *, user_id: str | None = None) -> Item:
        """One memory by its id; raises UnknownMemory, also if it is not ``user_id``'s."""
        return self._run(reading.get(self._core, memory_id, user_id=user_id))

    def get_all(
        self,
        *,
        user_id: str,
        granularity: Granularity | str = "turn",
        filters: Mapping[str, Any] | None = None,
        top_k: int | None = 100,
        as_of: datetime | str | None = None,
        superseded: bool = False,
    ) -> ListReply:
        """A user's memories in the order they were stored, the first ``top_k`` (None: all), and how many there are."""
        return self._run(
            reading.get_all(
                self._core,
                user_id=user_id,
                granularity=granularity,
                filters=filters,
                top_k=top_k,
                as_of=as_of,
                superseded=superseded,
            )
        )

    def update(
        self,
        memory_id: str,
        text: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
    ) -> ChangeReply:
        """Give a memory a new text, new metadata, or both; what was there stays in :meth:`history`.

        What is derived from a turn (its session's vector, summary, keywords) is written anew.
        """
        return self._run(changing.update(self._core, memory_id, text, metadata=metadata, user_id=user_id))

    def delete(self, memory_id: str, *, user_id: str | None = None) -> ChangeReply:
        """Remove a memory and every trace of its text from the user's file, history and log included.

        Only the record that something was deleted stays. Deleting a session deletes its turns.
        """
        return self._run(changing.delete(self._core, memory_id, user_id=user_id))

    def delete_all(
        self, *, user_id: str, session_id: str | None = None, filters: Mapping[str, Any] | None = None
    ) -> DeletedReply:
        """Remove all of a user's memories, those of a session, or those that pass ``filters``; in one transaction."""
        return self._run(changing.delete_all(self._core, user_id=user_id, session_id=session_id, filters=filters))

    def history(self, memory_id: str, *, user_id: str | None = None) -> list[HistoryEntry]:
        """What happened to a memory, oldest first; also after it was deleted, then without texts."""
        return self._run(reading.history(self._core, memory_id, user_id=user_id))

    def close(self) -> None:
        """Close all files; later calls raise. What was acknowledged is on disk already."""
        self._core.closed = True
        self._core.stop_inferring()
        self._deriver.stop()
        self._core.banks.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
