"""The port every retriever implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from memagent.bank.port import BankView
    from memagent.records import Query, Retrieval


class Retriever(Protocol):
    """Chooses the units of one user's memory that answer a query.

    A retriever is a frozen, slotted, keyword-only dataclass of its hyper-parameters: it has no state,
    so one instance serves any number of users and threads. Values it cannot use are refused when it is
    made (:class:`~memagent.errors.InvalidInput`, or :class:`~memagent.errors.UnknownName` for a choice
    that does not exist). One that reads ``Query.related`` has a property ``uses_related_words`` that is true.
    One that ranks some granularities only has them in the class variable ``granularities``, a frozenset, and
    refuses a query for others with :class:`~memagent.errors.InvalidInput`. One that ranks by derived units says
    by which in a property ``uses_units``, and one that reads ``BankView.edges`` has a property ``uses_edges`` that is
    true: evaluation stores these only for retrievers that say so.
    """

    name: ClassVar[str]
    """What the retriever is called on the command line and in result files."""

    @property
    def uses_vector(self) -> bool:
        """Whether ``Query.vector`` is needed (for at least one granularity)."""

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """The best ``k`` units of ``query.granularity``, best first; fewer only if fewer are visible.

        Scores do not rise from hit to hit; equal scores are in the order in which the units were stored. The
        trace holds JSON values only; numbers and texts in a flat dict under ``signals`` are what evaluation writes
        beside each question and sums up, a choice that was made first. Raises
        :class:`~memagent.errors.InvalidInput` if ``k`` is below 1 or a vector is needed and missing.
        """
