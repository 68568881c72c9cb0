"""RF-Mem: look once, and only when what is found is not familiar, recollect (arXiv 2603.09250, ICLR 2026)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from memagent.errors import InvalidInput
from memagent.records import Retrieval
from memagent.retrievers.calibration import Calibration, read_calibration
from memagent.retrievers.checks import check_choice, check_count, check_number, needed_vector
from memagent.retrievers.familiarity import Gate, Path, Signal, signal_of
from memagent.retrievers.neighbours import Neighbours
from memagent.retrievers.recollection import Recollection, recollect
from memagent.retrievers.rf_mem_hits import familiar_hits, recollected_hits
from memagent.retrievers.rf_mem_settings import paper_settings, released_settings

if TYPE_CHECKING:
    from memagent.bank.port import BankView
    from memagent.records import Query

PUBLISHED = {"theta_high": 0.6, "theta_low": 0.3, "tau": 0.20, "alpha": 0.5}
"""What a threshold is when neither the caller nor a calibration says: see :class:`RFMem`."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "path": ("gated", "familiarity", "recollection"),
    "entropy_reduction": ("mean", "sum"),
    "gate_test": ("at-most", "below"),
    "branch_score": ("paper", "code"),
    "centroid": ("normalised", "mean"),
    "duplicates": ("before", "after"),
    "when_empty": ("stop", "continue"),
    "budget": ("free", "below-k"),
    "final_order": ("insertion", "kept-score", "rerank"),
}
_RANGES = {"theta_high": (-2.0, 2.0), "theta_low": (-2.0, 2.0), "tau": (-1.0, math.inf), "alpha": (0.0, 1.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RFMem:
    """Dense retrieval at one look for familiar queries, beam search over clusters of memories for the others.

    Units of any granularity are ranked by their own vectors; the gate sees their raw cosines only. Symbols are the
    paper's (arXiv 2603.09250v1); where its text, its algorithms and its released code (commit d6a2cb3) differ, the
    default is the paper if that is clear, and what is said at the field if not. All thresholds belong to one encoder:
    see ``memagent calibrate``.

    The answer has k units whenever k are visible. Where the rounds bring fewer, which the paper leaves open, the
    nearest units not yet found follow (``filled`` among the trace's ``signals``); only ``floor`` makes lists shorter.
    The list depends on k. Scores do not rise along it: a unit found after one with a lower cosine gets the next number
    below that one's score. Its cosine is the part ``dense``, that with the query that found it ``recollected``.
    """

    name: ClassVar[str] = "rf-mem"

    path: Literal["gated", "familiarity", "recollection"] = "gated"
    """``gated`` lets the gate choose; the others are the paper's single-path ablations."""
    alpha: float | None = None
    """How much of a query stays when a cluster's centre g moves it: norm(alpha x + (1 - alpha) g + first query).

    None: the calibration's, else 0.5. The paper does not print the one it used; best are 0.3 to 0.6.
    """
    tau: float | None = None
    """Entropies of at most this are familiar. None: the calibration's, else 0.20, the code's default.

    The paper does not print the one it used; best are 0.20 to 0.25, on the scale of the mean.
    """
    theta_high: float | None = None
    """Mean cosines of at least this are familiar, whatever the entropy. None: the calibration's, else 0.6."""
    theta_low: float | None = None
    """Mean cosines of at most this are not. None: the calibration's, else 0.3, as for turns; for sessions 0.0."""
    sharpness: float = 20.0
    """Lambda of the entropy: cosines are multiplied by it before the softmax. 30 on PersonaBench."""
    probe: int | None = 10
    """How many nearest units the gate looks at (k_p), None: as many as are asked for.

    10 on PersonaMem and LongMemEval. It does not follow k by default, because the largest entropy does.
    """
    probe_floor: float | None = None
    """The least cosine of units in the probe. The code has 0.0 except on PersonaBench, the paper none."""
    entropy_reduction: Literal["mean", "sum"] = "mean"
    """``mean`` divides the entropy by the size of the probe, as the code does: at most 0.23 for 10 units.

    ``sum`` is the paper's formula, but every tau that the paper prints is on the other scale.
    """
    gate_test: Literal["at-most", "below"] = "at-most"
    """Whether an entropy equal to ``tau`` is familiar (the paper) or not (the code)."""
    beam: int = 4
    """B: how many queries go on from round to round, and how many clusters one makes. 4 on LongMemEval, else 3."""
    fanout: int = 1
    """F: a query looks at (B + round) * F units, rounds counted from 0.

    1 on LongMemEval and for short lists, 2 for lists of ten elsewhere. With 1 the answer begins with the B nearest
    units in their order; with more, clusters come whole and mix the first B * F.
    """
    rounds: int | None = None
    """R: the most rounds. None: k, as in the released scripts; the paper gives no number."""
    branch_score: Literal["paper", "code"] = "paper"
    """Which branches go on. ``paper``: those with the highest sum of the cluster's cosines with the new query.

    ``code``: with the old query, less the MMR penalty, plus the score of the parent.
    """
    centroid: Literal["normalised", "mean"] = "normalised"
    """Whether g is brought to unit length (Algorithm 3, the code) or not (equation 5)."""
    duplicates: Literal["before", "after"] = "before"
    """Units found earlier are left out before clustering (the text, the code) or after (Algorithm 3)."""
    when_empty: Literal["stop", "continue"] = "stop"
    """A round without anything new is the last, or the next one looks at more (the code, but for PersonaBench)."""
    budget: Literal["free", "below-k"] = "free"
    """``below-k``: a query never looks at k units or more, as the paper wishes; its own settings break that."""
    early_stop: bool = True
    """Whether to stop as soon as k units are found. Without, and with ``rerank``: the paper's full exploration."""
    final_order: Literal["insertion", "kept-score", "rerank"] = "insertion"
    """The order of the answer: as found (Algorithm 3, the code), or of all that was found the best k.

    ``kept-score``: by the cosine with the query that found a unit (the text, "top K of the union"); ``rerank``: by
    that with the first one.
    """
    floor: float | None = None
    """The least cosine of a unit with the query that finds it. Makes lists shorter. Released: 0.0, PersonaMem 0.3."""
    mmr_lambda: float = 1.0
    """Below 1, a candidate's score is that share of its cosine, less the rest of its highest one with another.

    Orders branches only. The paper has none, the code 0.9 to 1.
    """
    seed: int = 42
    """Of the k-means; 42 in the code."""
    calibration: str | None = None
    """A file of ``memagent calibrate``, read here: thresholds and ``alpha`` that are not given come from it.

    It is refused for a probe of another kind, and at a search for another granularity or encoder.
    """
    calibrated: Calibration | None = field(init=False, default=None, hash=False)
    """What the file says."""

    def __post_init__(self) -> None:
        for name, valid in _CHOICES.items():
            check_choice(name, getattr(self, name), valid)
        for name in ("beam", "fanout"):
            check_count(name, getattr(self, name))
        for name in ("probe", "rounds"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("floor", "probe_floor"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), -2.0, 2.0)
        check_number("sharpness", self.sharpness)
        check_number("mmr_lambda", self.mmr_lambda, 0.0, 1.0)
        _check_flag_and_seed(self.early_stop, self.seed)
        found = None if self.calibration is None else self._read(self.calibration)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is None:
                value = PUBLISHED[name] if found is None else getattr(found, name)
            check_number(name, value, low, high)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "calibrated", found)
        if self._number("theta_low") > self._number("theta_high"):
            raise InvalidInput(
                f"theta_low is {self.theta_low!r}, above theta_high {self.theta_high!r}", hint="pass a lower one"
            )

    def _read(self, path: str) -> Calibration:
        """The calibration, if it was made with this kind of probe; raises InvalidInput otherwise."""
        found = read_calibration(path)
        for name in ("entropy_reduction", "sharpness", "probe", "probe_floor"):
            if getattr(found, name) != getattr(self, name):
                raise InvalidInput(
                    f"the calibration {path} was made with {name}={getattr(found, name)}, not {getattr(self, name)}",
                    hint=f"pass {name}={getattr(found, name)}, or calibrate again",
                )
        return found

    @classmethod
    def paper(
        cls, setting: str, *, alpha: float, tau: float, k: int = 10, path: Literal["gated", Path] = "gated"
    ) -> RFMem:
        """The method as the paper sets it for ``longmemeval``, ``personamem`` or ``personabench`` (appendix B).

        ``alpha`` and ``tau`` (on the scale of the mean) are not in it. ``k`` is how many units will be asked for: on
        PersonaBench the paper's fan-out depends on it (1 up to 5, 2 beyond).
        """
        return cls(alpha=alpha, tau=tau, path=path, **paper_settings(setting, k))

    @classmethod
    def released(
        cls,
        setting: str,
        *,
        path: Literal["gated", Path] = "gated",
        alpha: float | None = None,
        tau: float | None = None,
    ) -> RFMem:
        """The method as the released scripts and code run it (commit d6a2cb3).

        ``alpha`` and ``tau`` default to LongMemEval's 0.7 (0.8 on recollection alone) and 0.10; the other scripts
        try many, so that there they default to the 0.8 and 0.20 of the code.
        """
        settings = released_settings(setting, path)
        given = {name: value for name, value in (("alpha", alpha), ("tau", tau)) if value is not None}
        return cls(path=path, **{**settings, **given})

    @property
    def uses_vector(self) -> bool:
        """Always."""
        return True

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        check_count("k", k)
        vector = needed_vector(query, self.name)
        self._check_calibrated(query, bank)
        space = Neighbours(bank, query.granularity, vector)
        signal = self._signal(space, k)
        gate = Gate(
            theta_high=self._number("theta_high"),
            theta_low=self._number("theta_low"),
            tau=self._number("tau"),
            test=self.gate_test,
        )
        decision = gate.decide(signal)
        path = decision.path if self.path == "gated" else self.path
        signals: dict[str, Any] = {
            "path": path,
            "decided_by": decision.by if self.path == "gated" else "setting",
            "probe": signal.size,
            "mean_score": signal.mean if signal.size else None,
            "entropy": signal.entropy if signal.size else None,
        }
        trace: dict[str, Any] = {
            "retriever": self.name,
            "granularity": str(query.granularity),
            "path": path,
            "signals": signals,
        }
        if path == "familiarity":
            return Retrieval(hits=familiar_hits(space, k, self.floor), trace=trace)
        bag = recollect(space, vector, k, self._recollection(k))
        hits, filled = recollected_hits(space, bag, k, self.final_order, self.floor)
        signals |= {"rounds": len(bag.story), "recollected": len(bag.rows), "filled": filled}
        trace["rounds"] = bag.story
        return Retrieval(hits=hits, trace=trace)

    def _signal(self, space: Neighbours, k: int) -> Signal:
        cosines = space.best(self.probe or k).cosines
        if self.probe_floor is not None:
            cosines = cosines[cosines >= self.probe_floor]
        return signal_of(cosines, sharpness=self.sharpness, reduction=self.entropy_reduction)

    def _recollection(self, k: int) -> Recollection:
        return Recollection(
            alpha=self._number("alpha"),
            beam=self.beam,
            fanout=self.fanout,
            rounds=self.rounds or k,
            branch_score=self.branch_score,
            centroid=self.centroid,
            duplicates=self.duplicates,
            when_empty=self.when_empty,
            budget=self.budget,
            early_stop=self.early_stop,
            floor=self.floor,
            mmr_lambda=self.mmr_lambda,
            seed=self.seed,
        )

    def _number(self, name: str) -> float:
        value: float = getattr(self, name)
        return value

    def _check_calibrated(self, query: Query, bank: BankView) -> None:
        """Raise InvalidInput where the calibration says nothing about what is asked for."""
        if self.calibrated is None:
            return
        if self.calibrated.granularity != query.granularity:
            raise InvalidInput(
                f"{self.calibration} was calibrated for the granularity {self.calibrated.granularity!r}, "
                f"not {str(query.granularity)!r}",
                hint="calibrate with --granularity, or use a file for this one",
            )
        if self.calibrated.encoder != bank.encoder:
            raise InvalidInput(
                f"{self.calibration} was calibrated for another encoder than the one in use",
                hint="cosines of different encoders do not compare: run `memagent calibrate rf-mem` with this one",
            )


def _check_flag_and_seed(early_stop: object, seed: object) -> None:
    if not isinstance(early_stop, bool):
        raise InvalidInput(f"early_stop is {early_stop!r}", hint="pass True or False")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InvalidInput(f"seed is {seed!r}", hint="pass a whole number of at least 0")
