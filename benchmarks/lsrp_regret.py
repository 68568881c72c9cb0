"""How much of the right style's gain U-U-RAG recovers, by K, index size and noise, for each form of the index.

    python benchmarks/lsrp_regret.py [--users 480] [--held-out 120] [--seed 0] [--encoder NAME] [--out FILE]

On the made-up population (memagent.evals.lsrp.population), whose truth is known; no language model is asked. Every
figure is the share of the best style's gain over the general strategy that new users get, in per cent, with a 95 %
bootstrap interval over these users, and the regret (quality lost per task, qualities being 0 to 1).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memagent.agents.lsrp.private_counts import Regions, centroids, hyperplanes
from memagent.agents.lsrp.strategies import STYLES
from memagent.encoders import load_encoder
from memagent.evals.lsrp.population import Population, make_population
from memagent.evals.lsrp.regret import (
    KeptVectors,
    Regret,
    learnt_styles,
    measured,
    neighbours,
    noisy_counts,
    public_texts,
)

KS = (1, 3, 5, 10, 20, 25, 30, 50)
SIZES = (24, 48, 96, 192, 360)
SCORE_NOISES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
LABEL_NOISES = (0.0, 0.2, 0.4, 0.6)
EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)
REGIONS = (4, 8, 16, 32, 64)
PLANES = (2, 4, 6)
NOISE_SEEDS = 10
EPSILON, CLUSTERS = 1.0, 16


class Bench:
    """The population, the encoder, and the rows printed so far."""

    def __init__(self, encoder: KeptVectors, users: int, held_out: int, seed: int) -> None:
        self.encoder = encoder
        self.users = users
        self.held_out = held_out
        self.seed = seed
        self.public = public_texts(make_population(users=160, seed=seed + 1))
        self.rows: list[dict[str, Any]] = []

    def split(self, noise: float = 0.05) -> tuple[Population, Population]:
        """Users in the index, and new ones."""
        return make_population(users=self.users, score_noise=noise, seed=self.seed).split(self.held_out)

    def regions(self, clusters: int) -> Regions:
        """Regions around centroids of another population's texts."""
        return centroids(self.public, clusters, encoder=self.encoder)

    def neighbours(self, known: Population, new: Population, styles: Sequence[str], *, k: int = 5) -> dict[str, Regret]:
        """With clear texts, and with vectors alone."""
        return {
            name: measured(new, neighbours(known, styles, encoder=self.encoder, k=k, texts=texts))
            for name, texts in (("clear", True), ("embeddings", False))
        }

    def counts(
        self, known: Population, new: Population, styles: Sequence[str], *, regions: Regions, epsilon: float = EPSILON
    ) -> Regret:
        """With noisy counts: the draw of the noise whose regret is the median of several."""
        drawn = [
            measured(
                new, noisy_counts(known, styles, encoder=self.encoder, regions=regions, epsilon=epsilon, seed=seed)
            )
            for seed in range(NOISE_SEEDS)
        ]
        return sorted(drawn, key=lambda one: one.regret.mean)[NOISE_SEEDS // 2]

    def row(self, curve: str, at: float | str, found: dict[str, Regret]) -> None:
        """Print and keep one line."""
        shown = [
            f"{name} {100 * one.recovered.mean:.1f} [{100 * one.recovered.low:.1f}, {100 * one.recovered.high:.1f}]"
            f" regret {one.regret.mean:.3f}"
            for name, one in found.items()
        ]
        print(f"{curve} {at}: " + "; ".join(shown), flush=True)
        values = {
            name: {"recovered": one.recovered._asdict(), "regret": one.regret._asdict()} for name, one in found.items()
        }
        self.rows.append({"curve": curve, "at": at, **values})


def by_k(bench: Bench) -> None:
    """The number of voters."""
    known, new = bench.split()
    styles = learnt_styles(known)
    right = np.mean([found == best for found, best in zip(styles, known.best, strict=True)])
    print(f"labels of the indexed tasks that are the true best style: {100 * right:.1f} %", flush=True)
    for k in KS:
        bench.row("K", k, bench.neighbours(known, new, styles, k=k))
    alone = neighbours(known, styles, encoder=bench.encoder, profile=False)
    bench.row("index of", "the task alone", {"clear": measured(new, alone)})


def by_size(bench: Bench) -> None:
    """The number of users in the index; the offline part learns from these alone."""
    known, new = bench.split()
    regions = bench.regions(CLUSTERS)
    for size in (size for size in SIZES if size <= len(known.people)):
        part = known.first(size)
        styles = learnt_styles(part)
        counts = bench.counts(part, new, styles, regions=regions)
        bench.row("users", size, {**bench.neighbours(part, new, styles), "counts": counts})


def by_noise(bench: Bench) -> None:
    """Noise in the scores, and wrong labels."""
    regions = bench.regions(CLUSTERS)
    for noise in SCORE_NOISES:
        known, new = bench.split(noise)
        styles = learnt_styles(known)
        right = np.mean([found == best for found, best in zip(styles, known.best, strict=True)])
        counts = bench.counts(known, new, styles, regions=regions)
        bench.row(
            f"score noise (labels right {100 * right:.0f} %)",
            noise,
            {**bench.neighbours(known, new, styles), "counts": counts},
        )
    known, new = bench.split()
    for noise in LABEL_NOISES:
        styles = learnt_styles(known, label_noise=noise)
        counts = bench.counts(known, new, styles, regions=regions)
        bench.row("labels replaced", noise, {**bench.neighbours(known, new, styles), "counts": counts})


def by_privacy(bench: Bench) -> None:
    """Epsilon and the regions of noisy counts."""
    known, new = bench.split()
    styles = learnt_styles(known)
    regions = bench.regions(CLUSTERS)
    for epsilon in EPSILONS:
        found = bench.counts(known, new, styles, regions=regions, epsilon=epsilon)
        bench.row(f"{CLUSTERS} regions, epsilon", epsilon, {"counts": found})
    for clusters in REGIONS:
        found = bench.counts(known, new, styles, regions=bench.regions(clusters))
        bench.row(f"epsilon {EPSILON:g}, regions", clusters, {"counts": found})
    for planes in PLANES:
        found = bench.counts(known, new, styles, regions=hyperplanes(planes, encoder=bench.encoder))
        bench.row(f"epsilon {EPSILON:g}, planes", planes, {"counts": found})


def main() -> int:
    """Print all curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=480)
    parser.add_argument("--held-out", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0, help="of the population")
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    bench = Bench(KeptVectors(load_encoder(arguments.encoder)), arguments.users, arguments.held_out, arguments.seed)
    print(f"{arguments.users - arguments.held_out} users indexed, {arguments.held_out} new ones; {len(STYLES)} styles")
    for curve in (by_k, by_size, by_noise, by_privacy):
        curve(bench)
    if arguments.out:
        arguments.out.write_text(json.dumps(bench.rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
