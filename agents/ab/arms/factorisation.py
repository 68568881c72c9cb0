"""Matrix factorisation by two well-kept libraries: alternating least squares (implicit) and PureSVD (SciPy)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from memagent.agents.ab.arms.scoring import Scores, Training, Weights
from memagent.agents.ab.factors import latent_factors
from memagent.errors import MissingExtra


@dataclass(frozen=True, slots=True, kw_only=True)
class ALS:
    """Weighted matrix factorisation of choices (Hu, Koren and Volinsky, 2008), by the library implicit."""

    factors: int = 64
    regularization: float = 0.05
    alpha: float = 5.0
    iterations: int = 15

    kind: ClassVar[str] = "mf"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """The factors; raises MissingExtra without implicit. One thread: the same result at every run."""
        try:
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1, "blas"):
                from implicit.als import AlternatingLeastSquares
        except ImportError as error:
            raise MissingExtra(
                "the arm mf needs implicit", hint="pip install 'memagent[sim]', or take the arm svd"
            ) from error
        from scipy.sparse import csr_matrix

        ratings = training.ratings
        shape = (training.users, training.items)
        chosen = csr_matrix((np.ones(len(ratings), dtype=np.float32), (ratings.users, ratings.items)), shape=shape)
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=seed,
                num_threads=1,
                use_gpu=False,
            )
            model.fit(chosen, show_progress=False)
        return {"users": np.asarray(model.user_factors), "items": np.asarray(model.item_factors)}

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Inner products."""
        return inner_products(weights, training)


@dataclass(frozen=True, slots=True, kw_only=True)
class SVD:
    """Truncated singular value decomposition of choices (see :func:`~memagent.agents.ab.factors.latent_factors`)."""

    factors: int = 48

    kind: ClassVar[str] = "svd"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """The factors."""
        users, items = latent_factors(training.ratings, training.users, training.items, factors=self.factors, seed=seed)
        return {"users": users, "items": items}

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Inner products."""
        return inner_products(weights, training)


def inner_products(weights: Weights, training: Training) -> Scores:
    """``users`` (n, f) times ``items`` (m, f), plus ``bias`` (m,) if there is one."""
    users = weights["users"].astype(np.float64)
    items = weights["items"].astype(np.float64)
    bias = weights["bias"].astype(np.float64) if "bias" in weights else np.zeros(len(items))
    code_of = {user: code for code, user in enumerate(training.dataset.user_ids)}
    return lambda user: items @ users[code_of[user]] + bias
