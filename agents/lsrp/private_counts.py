"""U-U-RAG without other users' texts or vectors: how often each style was best in each region, with noise.

The vectors' space is cut into regions that do not depend on the users who are counted. For each region and style the
labelled tasks are counted, and discrete Laplace noise is added to every count (the geometric mechanism: Ghosh,
Roughgarden and Sundararajan, 2009), once. Nothing else is kept, and everything that is computed from the noisy counts
afterwards is as private as they are.

What is promised: two data sets, one of which lacks all tasks of one user, give any outcome with probabilities that
differ by a factor of at most exp(epsilon) (user-level differential privacy, one release, up to what the 53 bits of the
random numbers round off). A user counts with at most ``per_user`` tasks, each in one region and style, so leaving one
out moves the counts by at most ``per_user`` in sum (L1 sensitivity) and the noise has the scale ``per_user / epsilon``.
Other tasks or styles in the place of a user's move them by up to twice that: between such data sets the factor is
exp(2 epsilon). Building again from the same users adds the epsilons up.

Two things must not depend on the users who are counted. The regions: centroids are to be learnt from public or made-up
texts. And the styles of *other* users' tasks: best styles that :func:`~memagent.agents.lsrp.learn_styles` finds with
weights that all users' scores decide together may change with one user, which epsilon does not count.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.lsrp.index import Texts, check_encoder
from memagent.agents.lsrp.index_file import damaged, read_arrays, write_arrays
from memagent.agents.lsrp.ports import PrivateTask
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder
    from memagent.records import Vectors

_KIND = "counts of styles"
_MOST_PLANES = 16
_MOST_NOISE = 1e12  # the noise's scale: beyond it counts say nothing, and would not fit into their 64 bits


class RegionKind(StrEnum):
    """How vectors are told apart."""

    CENTROIDS = "centroids"
    """By the nearest of some vectors."""
    HYPERPLANES = "hyperplanes"
    """By the side on which they lie of each of some planes through the origin: two regions a plane, to its power."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regions:
    """A partition of the space: ``matrix`` float32 (n, dim), n centroids or the normals of n planes."""

    kind: RegionKind
    matrix: Vectors

    def __len__(self) -> int:
        return len(self.matrix) if self.kind is RegionKind.CENTROIDS else 2 ** len(self.matrix)

    def of(self, vectors: Vectors) -> NDArray[np.int64]:
        """The region of each unit vector, int64 (n,)."""
        products = vectors @ self.matrix.T
        if self.kind is RegionKind.CENTROIDS:
            nearest: NDArray[np.int64] = (2 * products - (self.matrix**2).sum(axis=1)).argmax(axis=1)
            return nearest
        powers = 2 ** np.arange(len(self.matrix))
        sides: NDArray[np.int64] = (products > 0) @ powers
        return sides


def centroids(texts: Sequence[str], clusters: int, *, encoder: Encoder, seed: int = 0) -> Regions:
    """Regions around the k-means centroids of public texts (or made-up ones): never the users' own.

    Raises InvalidInput where there are fewer texts than clusters.
    """
    if not 1 <= clusters <= len(texts):
        raise InvalidInput(f"{clusters} clusters of {len(texts)} texts", hint="1 or more, and a text for each")
    from sklearn.cluster import KMeans

    fitted = KMeans(n_clusters=clusters, n_init=4, random_state=seed).fit(encoder.encode_documents(list(texts)))
    return Regions(kind=RegionKind.CENTROIDS, matrix=np.ascontiguousarray(fitted.cluster_centers_, dtype=np.float32))


def hyperplanes(planes: int, *, encoder: Encoder, seed: int = 0) -> Regions:
    """2 ** ``planes`` regions between random planes: they need no text at all, and tell less apart."""
    if not 1 <= planes <= _MOST_PLANES:
        raise InvalidInput(f"{planes} planes", hint=f"from 1 to {_MOST_PLANES}")
    normals = np.random.default_rng(seed).standard_normal((planes, encoder.dim), dtype=np.float32)
    return Regions(kind=RegionKind.HYPERPLANES, matrix=normals)


class PrivateCounts:
    """Noisy counts of the best styles by region; safe to hand out as far as ``epsilon`` says."""

    def __init__(
        self,
        encoder: Encoder,
        regions: Regions,
        styles: Sequence[str],
        counts: NDArray[np.int64],
        *,
        epsilon: float,
        made: Texts | None = None,
    ) -> None:
        if counts.shape != (len(regions), len(styles)) or regions.matrix.shape[1:] != (encoder.dim,):
            raise InvalidInput(
                f"counts of the shape {counts.shape} for {len(regions)} regions and {len(styles)} styles",
                hint="one row a region, one column a style, regions of the encoder's width",
            )
        self._encoder = encoder
        self._regions = regions
        self._made = made or Texts()
        self.styles = tuple(styles)
        self.counts = counts
        """The noisy counts, int64 (regions, styles); may be negative."""
        self.epsilon = epsilon

    @classmethod
    def of(
        cls,
        tasks: Sequence[PrivateTask],
        best: Sequence[str],
        users: Sequence[str],
        *,
        encoder: Encoder,
        regions: Regions,
        styles: Sequence[str],
        epsilon: float,
        per_user: int = 1,
        made: Texts | None = None,
        seed: int | None = None,
    ) -> PrivateCounts:
        """The counts of tasks with their best styles; ``users`` says whose each task is.

        Of each user the first ``per_user`` tasks count. ``seed`` is for measurements and tests: whoever knows it can
        take the noise off again. Without one the noise comes from the operating system. Raises InvalidInput for
        lengths that differ, a style that is not among ``styles``, an epsilon that is not above 0 or all but 0.
        """
        if not len(tasks) == len(best) == len(users):
            raise InvalidInput(f"{len(tasks)} tasks, {len(best)} styles, {len(users)} users", hint="one of each a task")
        if not (epsilon > 0 and math.isfinite(epsilon)) or per_user < 1 or per_user > _MOST_NOISE * epsilon:
            raise InvalidInput(f"epsilon {epsilon}, {per_user} tasks a user", hint="above 0, and 1 or more")
        if unknown := set(best) - set(styles):
            raise InvalidInput(f"{sorted(unknown)} are none of the styles", hint="name all styles that can be best")
        form = made or Texts()
        taken = _first(users, per_user)
        counts = np.zeros((len(regions), len(styles)), dtype=np.int64)
        if taken:
            rows = regions.of(encoder.encode_documents([form.of(tasks[number]) for number in taken]))
            columns = np.array([list(styles).index(best[number]) for number in taken])
            np.add.at(counts, (rows, columns), 1)
        counts += discrete_laplace(counts.size, per_user / epsilon, seed).reshape(counts.shape)
        return cls(encoder, regions, styles, counts, epsilon=epsilon, made=form)

    def votes(self, task: PrivateTask) -> dict[str, int]:
        """The noisy counts of the task's region, by style."""
        return self.votes_of(self._encoder.encode_documents([self._made.of(task)])[0])

    def votes_of(self, vector: NDArray[np.float32]) -> dict[str, int]:
        """As :meth:`votes`, for a text that is embedded already: a unit vector, float32 (dim,)."""
        row = int(self._regions.of(vector[None])[0])
        return dict(zip(self.styles, self.counts[row].tolist(), strict=True))

    def save(self, path: str | Path) -> None:
        """Write counts and regions to one file. Raises InvalidInput where it cannot be written."""
        header = {
            "kind": _KIND,
            "encoder": self._encoder.fingerprint,
            "profile": self._made.profile,
            "between": self._made.between,
            "styles": list(self.styles),
            "regions": self._regions.kind.value,
            "epsilon": self.epsilon,
        }
        write_arrays(path, header, {"matrix": self._regions.matrix, "counts": self.counts})

    @classmethod
    def load(cls, path: str | Path, *, encoder: Encoder) -> PrivateCounts:
        """The counts of a file; raises as :meth:`~memagent.agents.lsrp.index.NeighbourIndex.load` does."""
        header, arrays = read_arrays(path, _KIND)
        check_encoder(header.get("encoder"), encoder, path)
        try:
            regions = Regions(kind=RegionKind(header["regions"]), matrix=arrays["matrix"])
            made = Texts(profile=bool(header["profile"]), between=str(header["between"]))
            styles = [str(name) for name in header["styles"]]
            epsilon = float(header["epsilon"])
            if arrays["counts"].dtype != np.int64 or arrays["matrix"].dtype != np.float32:
                raise ValueError("other numbers than were written")
            return cls(encoder, regions, styles, arrays["counts"], epsilon=epsilon, made=made)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path) from error


def _first(users: Sequence[str], per_user: int) -> list[int]:
    """The numbers of the tasks that count: the first ones of each user."""
    seen: dict[str, int] = {}
    taken = []
    for number, user in enumerate(users):
        seen[user] = seen.get(user, 0) + 1
        if seen[user] <= per_user:
            taken.append(number)
    return taken


def discrete_laplace(size: int, scale: float, seed: int | None = None) -> NDArray[np.int64]:
    """Whole numbers with P(n) proportional to exp(-|n| / scale), int64 (size,).

    The difference of two geometric numbers. Whole numbers, because the low bits of floating-point Laplace noise give
    the count away (Mironov, 2012).
    """
    source = random.SystemRandom() if seed is None else random.Random(seed)

    def geometric() -> int:
        return math.floor(-scale * math.log(1.0 - source.random()))

    return np.array([geometric() - geometric() for _ in range(size)], dtype=np.int64)
