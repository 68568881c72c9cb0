"""What is varied in an ablation, as data: a plan names the method, its baseline, and groups of variants.

The groups of ``rf-mem`` and ``memgas`` follow the ablations and sensitivity studies of their papers; a plan for another
retriever is one more entry of ``PLANS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memagent.errors import UnknownName


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A retriever of the plan; ``name`` says what is different, ``value`` what a sweep sets its parameter to."""

    spec: str
    name: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Variants that answer one question. A sweep names its ``parameter`` and is drawn as well as tabulated."""

    title: str
    variants: tuple[Variant, ...]
    about: str = ""
    parameter: str | None = None

    @property
    def plot(self) -> str | None:
        """The name of a sweep's picture."""
        if self.parameter is None:
            return None
        words = "".join(letter if letter.isalnum() else " " for letter in self.title.lower()).split()
        return f"{'-'.join(words)}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole ``method``, the ``baseline`` it is set beside, and the groups."""

    method: str
    baseline: str
    groups: tuple[Group, ...]


def named(title: str, variants: Sequence[tuple[str, str]], *, about: str = "") -> Group:
    """A group of variants, each a name and a spec."""
    return Group(title=title, about=about, variants=tuple(Variant(name=name, spec=spec) for name, spec in variants))


def sweep(
    title: str, method: str, parameter: str, values: Sequence[float], *, fixed: str = "", about: str = ""
) -> Group:
    """A group in which one parameter of a method takes each of the values; ``fixed`` parameters stay as given."""
    more = f",{fixed}" if fixed else ""
    return Group(
        title=title,
        about=about,
        parameter=parameter,
        variants=tuple(
            Variant(spec=f"{method}[{parameter}={value:g}{more}]", name=f"{parameter} = {value:g}", value=value)
            for value in values
        ),
    )


_ALONE = tuple(
    (f"dense[by={by}]", f"dense[by={by}]") for by in ("session", "turn-mean", "summary", "keywords", "combination")
)

_RF_MEM = Plan(
    method="rf-mem",
    baseline="dense[by=session]",
    groups=(
        named(
            "Paths",
            (
                ("gated: either path", "rf-mem"),
                ("familiarity for every question", "rf-mem[path=familiarity]"),
                ("recollection for every question", "rf-mem[path=recollection]"),
            ),
            about="What the gate chooses between, and what choosing is worth.",
        ),
        named(
            "Gate",
            (
                ("mean score and entropy", "rf-mem"),
                ("mean alone, familiarity in between", "rf-mem[tau=10]"),
                ("mean alone, recollection in between", "rf-mem[tau=-1]"),
                ("entropy alone", "rf-mem[theta_high=1.01,theta_low=-1.01]"),
            ),
            about="Thresholds that a signal never reaches take it out of the gate.",
        ),
        sweep("Tau", "rf-mem", "tau", (0.0, 0.05, 0.1, 0.15, 0.18, 0.2, 0.21, 0.22, 0.23, 0.25)),
        sweep("Alpha", "rf-mem", "alpha", tuple(tenth / 10 for tenth in range(1, 11))),
        sweep(
            "Alpha of recollection alone",
            "rf-mem",
            "alpha",
            tuple(tenth / 10 for tenth in range(1, 11)),
            fixed="path=recollection",
        ),
        sweep("Beam of recollection alone", "rf-mem", "beam", (1, 2, 3, 4, 5, 6), fixed="path=recollection"),
        sweep("Fan-out of recollection alone", "rf-mem", "fanout", (1, 2, 3, 4, 5, 6), fixed="path=recollection"),
        sweep("Probe", "rf-mem", "probe", (5, 10, 15, 20, 50)),
        named(
            "Where the paper and its code differ",
            (
                ("entropy as a sum (formula)", "rf-mem[entropy_reduction=sum]"),
                ("entropy below tau (code)", "rf-mem[gate_test=below]"),
                ("branches by the old query (code)", "rf-mem[branch_score=code]"),
                ("centroids not normalised (equation 5)", "rf-mem[centroid=mean]"),
                ("found units leave after clustering (Algorithm 3)", "rf-mem[duplicates=after]"),
                ("goes on when nothing is new (code)", "rf-mem[when_empty=continue]"),
                ("fewer units looked at than asked for", "rf-mem[budget=below-k]"),
                ("order by the cosine that found it", "rf-mem[final_order=kept-score]"),
                ("order by the query's cosine", "rf-mem[final_order=rerank]"),
                ("all rounds, order by the query's cosine", "rf-mem[early_stop=false,final_order=rerank]"),
                ("no cosine below 0 (code)", "rf-mem[floor=0]"),
            ),
            about="One switch each, the rest as the method is set.",
        ),
    ),
)

_MEMGAS = Plan(
    method="memgas",
    baseline="dense[by=session]",
    groups=(
        named(
            "Parts",
            (
                ("whole", "memgas"),
                ("without mixture: all candidates linked", "memgas[accept=all]"),
                ("without association: the seeds alone", "memgas[pagerank=false]"),
                ("without association and seeds: all nodes", "memgas[pagerank=false,seeds=1000000]"),
                ("without router: equal weights", "memgas[router=uniform]"),
                ("without association and router", "memgas[pagerank=false,router=uniform]"),
                ("without all: sessions' own vectors", "dense[by=session]"),
            ),
            about="The paper's ablation; how its variants were built is not said. Without PageRank nothing follows the "
            "edges, so that leaving it out leaves out association as a whole.",
        ),
        named(
            "Router",
            (
                ("inverse entropy (paper)", "memgas[router=inverse]"),
                ("1 - entropy (released code)", "memgas[router=one-minus-raw]"),
                ("1 - normalised entropy (later code)", "memgas[router=one-minus-norm]"),
                ("equal weights", "memgas[router=uniform]"),
            ),
            about="The three published forms, and none.",
        ),
        named(
            "Nodes",
            (
                ("all four", "memgas"),
                ("without session nodes", "memgas[use_session=false]"),
                ("without turn-mean nodes", "memgas[use_turn=false]"),
                ("without summary nodes", "memgas[use_summary=false]"),
                ("without keyword nodes", "memgas[use_keywords=false]"),
            ),
        ),
        named("One vector a session", _ALONE, about="The paper's baselines."),
        named(
            "Relevance before PageRank",
            (("of each node (code)", "memgas[relevance=node]"), ("of each memory (paper)", "memgas[relevance=memory]")),
        ),
        sweep("Seeds", "memgas", "seeds", (5, 10, 15, 20, 30, 40, 50)),
        sweep("Temperature of the router", "memgas", "temperature", (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)),
        sweep("Damping", "memgas", "damping", (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85)),
    ),
)

_ADAPTIVE = Plan(
    method="adaptive",
    baseline="hybrid[dense=1,dense_by=turn-max]",
    groups=(
        named(
            "Parts",
            (
                ("whole", "adaptive"),
                ("without related words", "adaptive[related=false]"),
                ("without dates", "adaptive[dates=0]"),
                ("without contrast: cosines from minimum to maximum", "adaptive[depth=1000000,turns_depth=1000000]"),
                ("without BM25 on sessions", "adaptive[session=0,turns_session=0]"),
                ("without BM25 on windows", "adaptive[window=0,turns_window=0]"),
                ("without cosines", "adaptive[dense=0,turns_dense=0]"),
                ("without related words, dates and contrast", "adaptive[related=false,dates=0,depth=1000000]"),
            ),
            about="The baseline is the plain four-channel sum: BM25 on session, turn and window, and the closest turn.",
        ),
        named(
            "Other retrievers",
            (("dense", "dense"), ("bm25", "bm25"), ("hybrid", "hybrid"), ("rank fusion", "hybrid[fusion=rrf]")),
        ),
        sweep("Weight of the cosines", "adaptive", "dense", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)),
        sweep("Depth of the contrast", "adaptive", "depth", (5, 10, 15, 20, 30, 50, 100)),
        sweep("Turns whose cosines are added", "adaptive", "m", (1, 2, 3, 4, 5)),
        sweep("Weight of dates", "adaptive", "dates", (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)),
        sweep("Days told after", "adaptive", "told_after", (1, 3, 10, 30, 90)),
        sweep("Least cosine of related words", "adaptive", "related_cosine", (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)),
        sweep("Power of related words", "adaptive", "related_power", (1, 2, 3, 4, 6, 8)),
    ),
)

PLANS: dict[str, Plan] = {"rf-mem": _RF_MEM, "memgas": _MEMGAS, "adaptive": _ADAPTIVE}


def plan_of(method: str) -> Plan:
    """The plan for a method; raises UnknownName with those that have one."""
    try:
        return PLANS[method]
    except KeyError:
        valid = ", ".join(PLANS)
        raise UnknownName(f"there is no ablation of {method!r}", hint=f"use one of {valid}") from None
