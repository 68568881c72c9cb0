"""One point of a Pareto front to settle on: its knee."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME = 1e-9  # two points closer than this are one


def knee(points: NDArray[np.float64]) -> int:
    """The row of the knee among ``points`` (n, objectives), n >= 1, each objective to be maximised.

    As in LSRP's published code: each point is divided by its Euclidean norm, the points are sorted by the first
    objective, and the knee is the inner point at which the way from one neighbour to the other turns most; of equal
    angles the first. Points that fall together count once. Fewer than three points have no inner one, and the
    published code fails there; ours then takes the point with the greatest sum of objectives, each divided by its
    greatest magnitude among them, of equal ones the first in the sorted order.

    Raises InvalidInput where there is no point, or one is not finite.
    """
    if points.ndim != 2 or 0 in points.shape or not np.isfinite(points).all():
        raise InvalidInput(f"points of the shape {points.shape} have no knee", hint="finite numbers, one row or more")
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    unit = points / np.where(norms > 0, norms, 1.0)
    rows = _distinct(unit)
    if len(rows) < 3:
        return _balanced(points, rows)
    angles = turning_angles(unit[rows])
    # Angles that should be equal differ by rounding.
    return rows[1 + int((angles >= angles.max() - _SAME).argmax())]


def turning_angles(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """The angle by which a way through ``way`` (n, dimensions) turns at each inner point, (n - 2,) radians, 0 to pi."""
    steps = np.diff(way, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    cosines = (steps[:-1] * steps[1:]).sum(axis=1) / (lengths[:-1] * lengths[1:])
    angles: NDArray[np.float64] = np.arccos(np.clip(cosines, -1.0, 1.0))
    return angles


def _distinct(unit: NDArray[np.float64]) -> list[int]:
    """The rows in the order of the first objective (equal ones by the next), points that fall together once."""
    order = np.lexsort(unit.T[::-1])
    kept: list[int] = []
    for row in order:
        if all(np.linalg.norm(unit[row] - unit[other]) > _SAME for other in kept):
            kept.append(int(row))
    return kept


def _balanced(points: NDArray[np.float64], rows: list[int]) -> int:
    few = points[rows]
    largest = np.abs(few).max(axis=0)
    shares = few / np.where(largest > 0, largest, 1.0)
    return rows[int(shares.sum(axis=1).argmax())]
