"""Truncated singular value decomposition of who chose what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.ratings import Ratings


def latent_factors(
    ratings: Ratings, users: int, items: int, *, factors: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """User factors (users, f) and item factors (items, f) of the 0/1 matrix of choices (PureSVD; Cremonesi et al.,
    2010).

    Entries are divided by the fourth root of the product of user's and item's counts, so that neither the most active
    nor the most popular decide alone. ``f`` is ``factors``, or less for a small matrix. Signs are fixed: the same
    ratings and seed give the same factors.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds

    of_user = np.bincount(ratings.users, minlength=users).astype(np.float64)
    of_item = np.bincount(ratings.items, minlength=items).astype(np.float64)
    weights = (of_user[ratings.users] * of_item[ratings.items]) ** -0.25
    matrix = csr_matrix((weights, (ratings.users, ratings.items)), shape=(users, items))
    f = min(factors, min(users, items) - 1)
    if f < 1:
        return np.ones((users, 1)), of_item[:, None]
    start = np.random.default_rng([seed, 3]).normal(size=min(users, items))
    left, values, right = svds(matrix, k=f, v0=start, solver="arpack")
    signs = np.sign(right[np.arange(f), np.abs(right).argmax(axis=1)])
    return left * (values * signs), (right * signs[:, None]).T
