"""Does it help a click model to learn from simulated clicks too? Test AUC with and without them, over several seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.agents.ab.arms.artefacts import artefact_key, trained
from memagent.agents.ab.arms.machines import FM, DeepFM, fit_on_labels, pair_scores
from memagent.agents.ab.arms.registry import recipe_of
from memagent.agents.ab.arms.scoring import Training
from memagent.agents.ab.auc import Change, auc, over_seeds, over_users
from memagent.agents.ab.augmentation import Kind, augmented, drawn_like, faithful, simulated
from memagent.agents.ab.ratings import Dataset, Ratings, Split
from memagent.agents.ab.storing import read_events
from memagent.errors import InvalidInput
from memagent.files import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.experiment import Experiment
    from memagent.evals.ab.augmenting_config import Augmented, Augmenting
    from memagent.evals.ab.running import Prepared, Say

NOTHING = "nothing"
VALIDATION = "validation rows"
KINDS: tuple[Kind, ...] = ("clicks", "views")
_DRAW = 59  # stream of random numbers: no other use of a seed has it


class Pairs(NamedTuple):
    """What a model is tested on: user and item codes (int64), and labels 1 or 0 (float64)."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    labels: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model trained with something added: how many rows on average, its AUC for each seed."""

    model: str
    negatives: str
    added: str
    rows: float
    auc: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """AUC with ``added`` less that with ``against``: mean, and intervals over seeds and over users."""

    model: str
    negatives: str
    added: str
    against: str
    seeds: Change
    users: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """The result. ``kept``: the share that the filter keeps; ``of_validation``: the share of the simulated rows whose
    pair of user and item is a validation row; both by kind, means over seeds.
    """

    title: str
    facts: dict[str, Any]
    rows: list[Row]
    comparisons: list[Comparison]
    kept: dict[str, float]
    of_validation: dict[str, float]


def augment(config: Augmented, prepared: Prepared, folder: Path, *, say: Say) -> Augmentation:
    """Simulate with each seed, train with each kind of rows added, and compare.

    Sessions and scores are kept in ``folder``, so that the same call goes on where it was stopped. Raises InvalidInput
    for models that are no factorisation machines, or a test part without both labels.
    """
    settings = config.augment
    study = _Study(settings, prepared, folder)
    say(f"training the reference {settings.reference.kind}")
    added = {seed: study.added(seed, say) for seed in settings.seeds}
    rows, comparisons = [], []
    for model in settings.models:
        recipe = _machine(model.kind, model.parameters)
        name = model.name or model.kind
        for negatives in settings.negatives:
            say(f"training {name}, tested against {negatives} items")
            pairs = pairs_to_test(prepared.dataset, prepared.parts, negatives=negatives, liked=settings.liked)
            scores = {
                what: [study.scores(recipe, negatives, pairs, added[seed][what], seed) for seed in settings.seeds]
                for what in added[settings.seeds[0]]
            }
            for what, of_seeds in scores.items():
                count = float(np.mean([len(added[seed][what]) for seed in settings.seeds]))
                areas = tuple(auc(found, pairs.labels) for found in of_seeds)
                rows.append(Row(model=name, negatives=negatives, added=what, rows=count, auc=areas))
            comparisons += [
                _compared(name, negatives, what, against, scores, pairs) for what, against in _to_compare(scores)
            ]
    return Augmentation(
        title=config.title,
        facts={
            "data": prepared.dataset.name,
            "train": len(prepared.parts.train),
            "test": len(prepared.parts.test),
            "users": len(prepared.experiment.users),
            "arms": [arm.name for arm in prepared.experiment.arms],
            "policy": prepared.experiment.policy.name,
            "reference": settings.reference.name or settings.reference.kind,
            "rank_limit": settings.rank_limit,
            "liked": settings.liked,
            "seeds": list(settings.seeds),
            **({"models": used} if (used := prepared.usage.told()) else {}),
        },
        rows=rows,
        comparisons=comparisons,
        kept={
            kind: float(np.mean([len(a[f"{kind}, filtered"]) / max(1, len(a[kind])) for a in added.values()]))
            for kind in KINDS
        },
        of_validation={
            kind: float(np.mean([_common(a[kind], prepared.parts.validation) for a in added.values()]))
            for kind in KINDS
        },
    )


def pairs_to_test(dataset: Dataset, parts: Split, *, negatives: str, liked: float) -> Pairs:
    """The liked test rows, label 1, and with the label 0: the other test rows ("rated"), or for each of the liked an
    item drawn from those that its user has no row of in any part ("unrated"; the same ones at every call).
    """
    test = parts.test
    if negatives == "rated":
        return Pairs(test.users, test.items, (test.ratings >= liked).astype(np.float64))
    chosen = test.rows(test.ratings >= liked)
    free = np.ones((len(dataset.user_ids), len(dataset.catalogue)), dtype=np.bool_)
    free[dataset.ratings.users, dataset.ratings.items] = False
    random = np.random.default_rng(_DRAW)
    drawn = np.asarray([random.choice(np.flatnonzero(free[user])) for user in chosen.users.tolist()], dtype=np.int64)
    return Pairs(
        np.concatenate([chosen.users, chosen.users]),
        np.concatenate([chosen.items, drawn]),
        np.repeat([1.0, 0.0], len(chosen)),
    )


class _Study:
    """What is simulated and learned for one set of settings, kept in a folder."""

    def __init__(self, settings: Augmenting, prepared: Prepared, folder: Path) -> None:
        self._settings = settings
        self._parts = prepared.parts
        self._experiment = prepared.experiment
        self._after = prepared.usage.note
        self._folder = folder
        self._training = Training(dataset=prepared.dataset, ratings=prepared.parts.train)
        recipe = recipe_of(settings.reference.kind, settings.reference.parameters)
        self._reference = trained(recipe, self._training, seed=settings.reference.seed, cache=folder / "reference")

    def added(self, seed: int, say: Say) -> dict[str, Ratings]:
        """The rows to be added, by what they are; a run of the experiment with this seed comes first."""
        say(f"simulating with seed {seed}")
        place = self._folder / f"run-{seed}"
        experiment: Experiment = replace(self._experiment, seed=seed, stopping=None)
        experiment.run(place, after=self._after)
        none = np.empty(0, dtype=np.int64)
        found = {NOTHING: Ratings(users=none, items=none, ratings=np.empty(0))}
        limit, liked = self._settings.rank_limit, self._settings.liked
        for kind in KINDS:
            rows = simulated(read_events(place), self._training, kind=kind, liked=liked)
            found[kind] = rows
            found[f"{kind}, filtered"] = rows.rows(faithful(rows, self._reference, self._training, limit=limit))
            found[f"{kind}, random"] = drawn_like(rows, self._training, seed=seed)
        found[VALIDATION] = replace(self._parts.validation, times=None)
        return found

    def scores(
        self, recipe: FM | DeepFM, negatives: str, pairs: Pairs, added: Ratings, seed: int
    ) -> NDArray[np.float32]:
        """Of the test pairs, by a model that learned from the training rows and ``added``."""
        training = replace(self._training, ratings=augmented(self._training.ratings, added))

        def learned() -> NDArray[np.float32]:
            if negatives == "rated":
                labels = (training.ratings.ratings >= self._settings.liked).astype(np.float64)
                weights = fit_on_labels(recipe, training, labels, seed=seed)
            else:
                weights = recipe.fit(training, seed=seed)
            return pair_scores(recipe, weights, training, pairs.users, pairs.items)

        tested = hashlib.sha256(b"".join(np.ascontiguousarray(column).tobytes() for column in pairs)).hexdigest()
        facts = [artefact_key(recipe, training, seed), negatives, self._settings.liked, tested]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
        return _kept(self._folder / "scores" / f"{key}.npy", learned)


def _kept(path: Path, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    if path.exists():
        loaded: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return loaded
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mode=0o666) as temporary, temporary.open("wb") as file:
        np.save(file, made, allow_pickle=False)
    return made


def _machine(kind: str, parameters: dict[str, Any]) -> FM | DeepFM:
    recipe = recipe_of(kind, parameters)
    if not isinstance(recipe, FM | DeepFM):
        raise InvalidInput(f"{kind} gives no scores of single rows", hint="augment fm or deepfm")
    return recipe


def _to_compare(scores: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything with nothing, and each kind with its filter off and with its control."""
    yield from ((what, NOTHING) for what in scores if what != NOTHING)
    for kind in KINDS:
        yield f"{kind}, filtered", kind
        yield kind, f"{kind}, random"


def _compared(
    model: str,
    negatives: str,
    added: str,
    against: str,
    scores: dict[str, list[NDArray[np.float32]]],
    pairs: Pairs,
) -> Comparison:
    both = list(zip(scores[against], scores[added], strict=True))
    each = [auc(after, pairs.labels) - auc(before, pairs.labels) for before, after in both]
    return Comparison(
        model=model,
        negatives=negatives,
        added=added,
        against=against,
        seeds=over_seeds(each),
        users=over_users(both, pairs.labels, pairs.users),
    )


def _common(rows: Ratings, others: Ratings) -> float:
    there = set(zip(others.users.tolist(), others.items.tolist(), strict=True))
    pairs = list(zip(rows.users.tolist(), rows.items.tolist(), strict=True))
    return sum(pair in there for pair in pairs) / max(1, len(pairs))
