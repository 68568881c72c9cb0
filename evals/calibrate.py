"""Fits RF-Mem's thresholds to an encoder: to questions with known evidence, or to a store's own messages.

With evidence the thresholds and alpha with the highest mean recall_all@5 are taken, of equal ones those that
recollect least; how good they are on questions that they were not chosen by is measured by leaving out one
conversation at a time. Without evidence nothing can be said about quality: the thresholds are put where a stated share
of the messages would go to each path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.errors import InvalidInput
from memagent.evals.statistics import paired_difference
from memagent.retrievers.calibration import Calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.evals.retrieval import RetrievalRun
    from memagent.retrievers.rf_mem import RFMem

MEASURE = "recall_all@5"
ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
FOLDS = 10
FEWEST = 20
"""With fewer questions a threshold is an accident."""

SHARES = {"turn": 431 / 916, "session": 203 / 263}
"""Published shares of questions that recollect, with a MiniLM encoder: PersonaMem 32K and 128K together (turns) and
PersonaBench (sessions), RF-Mem appendix D."""

_NEVER_HIGH, _NEVER_LOW, _NEVER_SURE = 2.0, -2.0, -1.0  # a cosine is in -1..1, an entropy at least 0
_STEPS = np.linspace(0.0, 1.0, 11)


class Thresholds(NamedTuple):
    """What is fitted."""

    theta_high: float
    theta_low: float
    tau: float
    alpha: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What each of n questions showed.

    ``means``, ``entropies`` (n,): its signal; ``familiar`` (n,) and ``recollected`` (n, alphas): its
    :data:`MEASURE` on either path; ``groups``: the user it was put to.
    """

    means: NDArray[np.float64]
    entropies: NDArray[np.float64]
    familiar: NDArray[np.float64]
    recollected: NDArray[np.float64]
    alphas: tuple[float, ...]
    groups: tuple[str, ...]

    def of(self, rows: NDArray[np.int64]) -> Samples:
        """Some of the questions."""
        return Samples(
            means=self.means[rows],
            entropies=self.entropies[rows],
            familiar=self.familiar[rows],
            recollected=self.recollected[rows],
            alphas=self.alphas,
            groups=tuple(self.groups[row] for row in rows.tolist()),
        )

    def routed(self, thresholds: Thresholds) -> NDArray[np.bool_]:
        """Which questions these thresholds send to recollection, (n,)."""
        low_mean = self.means <= thresholds.theta_low
        unsure = self.entropies > thresholds.tau
        return (self.means < thresholds.theta_high) & (low_mean | unsure)

    def scored(self, thresholds: Thresholds) -> NDArray[np.float64]:
        """Each question's measure behind the gate, (n,)."""
        column = self.recollected[:, self.alphas.index(thresholds.alpha)]
        return np.where(self.routed(thresholds), column, self.familiar)


def specs_to_run(alphas: Sequence[float] = ALPHAS) -> tuple[str, ...]:
    """The retrievers whose runs :func:`samples_of` reads."""
    return ("rf-mem[path=familiarity]", *(f"rf-mem[path=recollection,alpha={alpha}]" for alpha in alphas))


def samples_of(run: RetrievalRun) -> Samples:
    """The samples of a run of :func:`specs_to_run`; raises InvalidInput for too few questions."""
    by_label = {spec.label: [row for row in run.rows if row.retriever == spec.label] for spec in run.specs}
    order = {question.id: place for place, question in enumerate(run.questions)}
    for rows in by_label.values():
        rows.sort(key=lambda row: order[row.question_id])
    familiar, *recollected = (by_label[spec.label] for spec in run.specs)
    refuse_few(len(familiar))
    return Samples(
        means=np.array([row.signals.get("mean_score", _NEVER_LOW) for row in familiar], dtype=np.float64),
        entropies=np.array([row.signals.get("entropy", 0.0) for row in familiar], dtype=np.float64),
        familiar=np.array([row.metrics[MEASURE] for row in familiar]),
        recollected=np.array([[row.metrics[MEASURE] for row in rows] for rows in recollected]).T,
        alphas=tuple(spec.params["alpha"] for spec in run.specs[1:]),
        groups=tuple(row.user_id for row in familiar),
    )


def fit(samples: Samples) -> Thresholds:
    """The thresholds with the highest mean measure; of equal ones those that recollect least, then the usual alpha.

    Candidates are the tenths of the means and entropies that were seen, and values that are never reached.
    """
    from memagent.retrievers.rf_mem import PUBLISHED

    highs = (*_tenths(samples.means), _NEVER_HIGH)
    lows = (_NEVER_LOW, *_tenths(samples.means))
    taus = (*reversed(_tenths(samples.entropies)), _NEVER_SURE)  # the first of equal ones is kept: the least eager
    gain = samples.recollected - samples.familiar[:, None]
    best: tuple[float, ...] = (-np.inf,)
    chosen = Thresholds(_NEVER_LOW, _NEVER_LOW, 0.0, PUBLISHED["alpha"])  # familiarity, whatever is found
    for high, low, tau in product(highs, lows, taus):
        if low > high:
            continue
        routed = samples.routed(Thresholds(high, low, tau, 0.0))
        share = float(routed.mean())
        for alpha, gained in zip(samples.alphas, (routed @ gain).tolist(), strict=True):
            rank = (round(gained, 9), -share, -abs(alpha - PUBLISHED["alpha"]))
            if rank > best:
                best, chosen = rank, Thresholds(high, low, tau, alpha)
    return chosen


def held_out(samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
    """What thresholds chosen without a question's conversation score on it, the same for recollection alone.

    Each (n,), with the number of folds: a conversation each, or shared ones if there are more than :data:`FOLDS`. None
    where there is one conversation only.
    """
    names = list(dict.fromkeys(samples.groups))
    if len(names) < 2:
        return None
    folds = min(len(names), FOLDS)
    fold_of = {name: place % folds for place, name in enumerate(names)}
    member = np.array([fold_of[name] for name in samples.groups])
    gated = np.empty(len(member))
    alone = np.empty(len(member))
    for fold in range(folds):
        rest, left = np.flatnonzero(member != fold), np.flatnonzero(member == fold)
        gated[left] = samples.of(left).scored(fit(samples.of(rest)))
        alone[left] = samples.recollected[left, _best_alpha(samples.of(rest))]
    return gated, alone, folds


def by_shares(means: NDArray[np.float64], entropies: NDArray[np.float64], share: float) -> Thresholds:
    """Thresholds that send about ``share`` of these signals (n,) to recollection.

    The mean alone settles half of each path's share, the entropy the rest; alpha is the published default, because
    nothing here says which is better.
    """
    from memagent.retrievers.rf_mem import PUBLISHED

    high = float(np.quantile(means, 1.0 - (1.0 - share) / 2.0))
    low = float(np.quantile(means, share / 2.0))
    between = entropies[(means < high) & (means > low)]
    tau = float(np.quantile(between if len(between) else entropies, 1.0 - share))
    return Thresholds(_short(high), min(_short(low), _short(high)), _short(tau), PUBLISHED["alpha"])


def calibrate_labelled(run: RetrievalRun, encoder: str) -> Calibration:
    """Thresholds fitted to a run of :func:`specs_to_run`, and what they are worth."""
    for spec in run.specs:
        refuse_open_probe(spec.retriever)
    samples = samples_of(run)
    chosen = fit(samples)
    return _calibration(
        run.specs[0].retriever,  # type: ignore[arg-type]  # all of them are RF-Mem
        chosen,
        encoder=encoder,
        granularity=run.settings.granularity,
        method="labelled",
        data={
            "name": run.dataset.name,
            "variant": run.dataset.variant,
            "files": [asdict(file) for file in run.dataset.files],
            "questions": len(samples.groups),
            "conversations": len(set(samples.groups)),
            "session_vectors": run.settings.session_vectors,
        },
        measured=_worth(samples, chosen),
    )


def calibrate_shares(
    retriever: RFMem,
    signals: Sequence[tuple[float, float]],
    *,
    encoder: str,
    granularity: str,
    share: float,
    users: int,
) -> Calibration:
    """Thresholds at quantiles of the signals (mean, entropy) of a store's own messages."""
    refuse_few(len(signals), "messages with earlier history")
    means, entropies = np.array(signals, dtype=np.float64).T
    chosen = by_shares(means, entropies, share)
    empty = np.zeros((len(means), 1))
    samples = Samples(
        means=means,
        entropies=entropies,
        familiar=empty[:, 0],
        recollected=empty,
        alphas=(chosen.alpha,),
        groups=("",) * len(means),
    )
    return _calibration(
        retriever,
        chosen,
        encoder=encoder,
        granularity=granularity,
        method="unlabelled",
        data={"name": "a store's own messages", "users": users, "messages": len(means), "share": share},
        measured={"recollecting": _short(float(samples.routed(chosen).mean())), **_ranges(means, entropies)},
    )


def refuse_open_probe(retriever: object) -> None:
    """Raise InvalidInput for a probe of as many units as are asked for: its entropy is another with each number."""
    if getattr(retriever, "probe", 1) is None:
        raise InvalidInput(
            "thresholds cannot be fitted to probe=none", hint="set the size of the probe, for example 10"
        )


def refuse_few(count: int, what: str = "questions") -> None:
    """Raise InvalidInput where there are too few to put a threshold among."""
    if count < FEWEST:
        raise InvalidInput(f"{count} {what} are too few to calibrate with", hint=f"at least {FEWEST} are needed")


def _calibration(
    retriever: RFMem,
    chosen: Thresholds,
    *,
    encoder: str,
    granularity: str,
    method: str,
    data: dict[str, Any],
    measured: dict[str, Any],
) -> Calibration:
    return Calibration(
        encoder=encoder,
        granularity=granularity,
        **chosen._asdict(),
        sharpness=retriever.sharpness,
        probe=retriever.probe,
        probe_floor=retriever.probe_floor,
        entropy_reduction=retriever.entropy_reduction,
        method=method,
        data=data,
        measured={**measured, "beam": retriever.beam, "fanout": retriever.fanout},
    )


def _worth(samples: Samples, chosen: Thresholds) -> dict[str, Any]:
    found: dict[str, Any] = {
        "measure": MEASURE,
        "familiarity": _short(float(samples.familiar.mean())),
        "recollection": _short(float(samples.recollected.mean(axis=0).max())),
        "fitted": _short(float(samples.scored(chosen).mean())),
        "recollecting": _short(float(samples.routed(chosen).mean())),
        "held_out": None,
        **_ranges(samples.means, samples.entropies),
    }
    left = held_out(samples)
    if left is not None:
        gated, alone, folds = left
        difference = paired_difference(gated[:, None], samples.familiar[:, None])[0]
        found["held_out"] = {
            "folds": folds,
            "gated": _short(float(gated.mean())),
            "recollection": _short(float(alone.mean())),
            "against_familiarity": {
                "diff": _short(difference.mean),
                "low": _short(difference.low),
                "high": _short(difference.high),
            },
        }
    return found


def _ranges(means: NDArray[np.float64], entropies: NDArray[np.float64]) -> dict[str, list[float]]:
    """The 5th percentile, median and 95th percentile of the signal."""
    return {
        "mean_score": [_short(value) for value in np.percentile(means, [5, 50, 95]).tolist()],
        "entropy": [_short(value) for value in np.percentile(entropies, [5, 50, 95]).tolist()],
    }


def _tenths(values: NDArray[np.float64]) -> list[float]:
    return sorted({_short(value) for value in np.quantile(values, _STEPS).tolist()})


def _best_alpha(samples: Samples) -> int:
    return int(samples.recollected.mean(axis=0).argmax())


def _short(value: float) -> float:
    """Rounded before it is used, so that what the file holds is what was measured."""
    return round(value, 6)
