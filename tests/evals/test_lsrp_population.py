"""The made-up population, and what U-U-RAG gains on it from scores to votes."""

from __future__ import annotations

import numpy as np
import pytest

from memagent.agents.lsrp.choosing import FixedChooser, OracleChooser
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.private_counts import centroids
from memagent.agents.lsrp.strategies import STYLES
from memagent.errors import InvalidInput
from memagent.evals.lsrp.population import OPTIONS, make_population
from memagent.evals.lsrp.regret import KeptVectors, learnt_styles, measured, neighbours, noisy_counts, public_texts
from memagent.testing import HashingEncoder

SHORT = Evolution(population=20, generations=8)
ENCODER = KeptVectors(HashingEncoder())


def test_the_same_arguments_give_the_same_population_and_every_style_is_best_for_some() -> None:
    first, second = make_population(users=40), make_population(users=40)
    assert first.tasks == second.tasks
    assert np.array_equal(first.cells, second.cells)
    assert set(first.best) == set(STYLES)
    assert first.quality.shape == (80, len(OPTIONS))
    assert not np.array_equal(first.cells, make_population(users=40, seed=1).cells)


def test_noise_is_in_the_scores_and_not_in_the_truth() -> None:
    quiet, loud = make_population(users=40, score_noise=0.0), make_population(users=40, score_noise=0.5)
    assert np.array_equal(quiet.quality, loud.quality)
    assert not np.array_equal(quiet.cells, loud.cells)


def test_users_held_out_are_in_no_index() -> None:
    known, new = make_population(users=40).split(10)
    assert len(known.people) == 30
    assert not {person.id for person in known.people} & {person.id for person in new.people}
    assert len(new.quality) == len(new.tasks) == 20
    with pytest.raises(InvalidInput, match="held out"):
        known.split(30)


@pytest.fixture(scope="module")
def shares() -> dict[str, float]:
    """What is recovered at some noises, 300 users in the index and 60 new ones."""
    found: dict[str, float] = {}
    for noise in (0.05, 0.4):
        known, new = make_population(users=360, tasks_each=1, score_noise=noise).split(60)
        styles = learnt_styles(known, evolution=SHORT)
        found[f"scores {noise}"] = measured(new, neighbours(known, styles, encoder=ENCODER)).recovered.mean
        if noise == 0.05:
            for share in (0.2, 0.6):
                wrong = learnt_styles(known, evolution=SHORT, label_noise=share)
                found[f"labels {share}"] = measured(new, neighbours(known, wrong, encoder=ENCODER)).recovered.mean
            bare = neighbours(known, styles, encoder=ENCODER, texts=False)
            found["vectors"] = measured(new, bare).recovered.mean
            alone = neighbours(known, styles, encoder=ENCODER, profile=False)
            found["task alone"] = measured(new, alone).recovered.mean
            public = make_population(users=80, seed=5)
            regions = centroids(public_texts(public), 16, encoder=ENCODER)
            counts = noisy_counts(known, styles, encoder=ENCODER, regions=regions, epsilon=2.0, seed=0)
            found["counts"] = measured(new, counts).recovered.mean
    return found


def test_at_low_noise_nine_tenths_of_the_oracles_gain_are_recovered(shares: dict[str, float]) -> None:
    assert shares["scores 0.05"] >= 0.9


def test_noise_costs_gain_by_degrees(shares: dict[str, float]) -> None:
    assert 0.4 < shares["scores 0.4"] < shares["scores 0.05"]
    assert shares["labels 0.6"] < shares["labels 0.2"]
    assert shares["labels 0.2"] > 0.7


def test_vectors_alone_vote_as_clear_texts_do_and_noisy_counts_nearly_so(shares: dict[str, float]) -> None:
    assert shares["vectors"] == shares["scores 0.05"]
    assert 0.5 < shares["counts"] <= 1


def test_without_profiles_the_users_group_cannot_be_known(shares: dict[str, float]) -> None:
    assert shares["task alone"] < 0.4


def test_oracle_and_general_strategy_are_the_ends_of_the_scale() -> None:
    _, new = make_population(users=40).split(20)
    oracle = measured(new, OracleChooser.of(new.tasks, new.best))
    assert set(oracle.regret) == {0}
    assert set(oracle.recovered) == {1}
    assert measured(new, FixedChooser()).recovered.mean == pytest.approx(0)


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match="groups"):
        make_population(users=3)
    with pytest.raises(InvalidInput, match="label noise"):
        learnt_styles(make_population(users=8), label_noise=2.0)
