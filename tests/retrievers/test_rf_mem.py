"""RF-Mem on vectors in a plane, where everything can be computed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memagent.errors import InvalidInput, InvalidVector, UnknownName
from memagent.records import Granularity, Query, Retrieval
from memagent.retrievers import Dense, RFMem, make
from memagent.testing.views import ArrayView, ViewUnit


def direction(degrees: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], dtype=np.float32)


def plane(*degrees: float) -> ArrayView:
    """Turns at these angles, keys from 1."""
    return ArrayView(
        [ViewUnit(key=key, session=0, text="", vector=direction(angle)) for key, angle in enumerate(degrees, start=1)]
    )


def search(retriever: Any, bank: ArrayView, k: int, degrees: float = 0.0) -> Retrieval:
    found: Retrieval = retriever.retrieve(Query(text="", vector=direction(degrees)), bank, k)
    return found


def keys(found: Retrieval) -> list[int]:
    return [hit.key for hit in found.hits]


def cosine(degrees: float) -> Any:
    return pytest.approx(float(np.cos(np.radians(degrees))), abs=1e-6)


PAIRS = RFMem(path="recollection", alpha=0.5, beam=2, fanout=1)
ONE_SIDED = (10.0, 20.0, -35.0, 36.0)
"""The two nearest are on one side: the query drifts there, and the fourth overtakes the third."""


# two examples by hand


def test_recollection_drifts_towards_what_it_found_by_hand() -> None:
    """The query is at 0 degrees, alpha 0.5, B 2, F 1, k 3.

    Round 0: the two nearest, 10 and 20 degrees, each a cluster. norm(0.5 x + 0.5 g + q) with x = q is at
    atan2(0.5 sin 10, 1.5 + 0.5 cos 10) = 2.4953 and atan2(0.5 sin 20, 1.5 + 0.5 cos 20) = 4.9616 degrees. Their scores,
    the cosines with their units, are cos 7.5047 = 0.991434 and cos 15.0384 = 0.965752: the first stays first.
    Round 1: three neighbours. From 2.4953 the unit at 36 is 33.5 away and that at -35 is 37.5, so the third is the one
    at 36, and so it is from 4.9616. The new queries: 0.5 (cos, sin)(2.4953) + 0.5 (cos, sin)(36) + (1, 0)
    = (1.904034, 0.315661), at 9.4132 degrees, score cos 26.5868 = 0.894257; from 4.9616 (1.902635, 0.337137), at
    10.0482 degrees, score cos 25.9518 = 0.899163. The second is better and brings the unit.
    """
    found = search(PAIRS, plane(*ONE_SIDED), 3)
    assert keys(found) == [1, 2, 4]
    assert keys(search(Dense(), plane(*ONE_SIDED), 3)) == [1, 2, 3]
    assert dict(found.hits[0].parts) == {
        "dense": cosine(10),
        "recollected": pytest.approx(0.991434, abs=1e-5),
        "round": 0,
    }
    assert dict(found.hits[1].parts) == {
        "dense": cosine(20),
        "recollected": pytest.approx(0.965752, abs=1e-5),
        "round": 0,
    }
    assert dict(found.hits[2].parts) == {
        "dense": cosine(36),
        "recollected": pytest.approx(0.899163, abs=1e-5),
        "round": 1,
    }
    first, second = found.trace["rounds"]
    assert [each["cosine_to_query"] for each in first["kept"]] == [cosine(2.4953), cosine(4.9616)]
    assert [each["cosine_to_query"] for each in second["kept"]] == [cosine(10.0482), cosine(9.4132)]
    assert [each["score"] for each in second["kept"]] == pytest.approx([0.899163, 0.894257], abs=1e-5)
    assert (first["neighbours"], first["branches"], first["new"]) == (2, 2, 2)
    assert (second["neighbours"], second["branches"], second["new"]) == (3, 2, 1)


def test_clusters_come_whole_and_large_ones_first_by_hand() -> None:
    """Units at 5, -30, -31 and -32 degrees; B 2, F 2: four neighbours, two clusters; alpha 0.5, q at 0.

    The cluster of three has its centre at -31; its query is at -atan2(0.5 sin 31, 1.5 + 0.5 cos 31) = -7.6056 degrees
    and scores cos 22.3944 + cos 23.3944 + cos 24.3944 = 0.924583 + 0.917792 + 0.910724 = 2.753100. The single unit's is
    at atan2(0.5 sin 5, 1.5 + 0.5 cos 5) = 1.2494 degrees and scores cos 3.7506 = 0.997858. The sum prefers the three.
    """
    bank = plane(5, -30, -31, -32)
    found = search(replace(PAIRS, fanout=2), bank, 4)
    assert keys(found) == [2, 3, 4, 1]
    kept = found.trace["rounds"][0]["kept"]
    assert [each["score"] for each in kept] == pytest.approx([2.753100, 0.997858], abs=1e-5)
    assert [each["units"] for each in kept] == [3, 1]
    # Scores may not rise: the nearest unit, which came last, is put just below the one before it.
    assert [hit.parts["dense"] for hit in found.hits] == [cosine(30), cosine(31), cosine(32), cosine(5)]
    scores = [hit.score for hit in found.hits]
    assert scores[3] == np.nextafter(scores[2], -1.0)


# every switch


def test_the_path_may_be_fixed_and_the_gate_is_asked_otherwise() -> None:
    bank = plane(*ONE_SIDED)
    for settings, path, by in (
        ({"path": "familiarity"}, "familiarity", "setting"),
        ({"path": "recollection"}, "recollection", "setting"),
        ({"theta_high": 0.5}, "familiarity", "mean-high"),
        ({"theta_high": 1.5, "theta_low": 1.0}, "recollection", "mean-low"),
        ({"theta_high": 1.5, "theta_low": 0.0, "tau": 0.35}, "familiarity", "entropy"),
        ({"theta_high": 1.5, "theta_low": 0.0, "tau": 0.01}, "recollection", "entropy"),
    ):
        found = search(replace(PAIRS, **{"path": "gated", **settings}), bank, 3)  # type: ignore[arg-type]
        assert (found.trace["path"], found.trace["signals"]["decided_by"]) == (path, by)
        assert keys(found) == ([1, 2, 3] if path == "familiarity" else [1, 2, 4])


def test_the_probe_is_ten_units_or_as_many_as_are_asked_for() -> None:
    bank = plane(*range(0, 60, 5))
    for settings, k, size in (({}, 3, 10), ({"probe": None}, 3, 3), ({"probe": None}, 20, 12), ({"probe": 4}, 20, 4)):
        signals = search(RFMem(**settings), bank, k).trace["signals"]
        nearest = np.cos(np.radians(np.arange(0, 60, 5)))[:size]
        assert signals["probe"] == size
        assert signals["mean_score"] == pytest.approx(nearest.mean())
        weights = np.exp(20 * nearest) / np.exp(20 * nearest).sum()
        assert signals["entropy"] == pytest.approx(-(weights * np.log(weights)).sum() / size, rel=1e-5)


def test_the_entropy_is_summed_or_averaged_and_sharpened() -> None:
    bank = plane(*ONE_SIDED)

    def entropy(**settings: Any) -> float:
        return float(search(RFMem(**settings), bank, 3).trace["signals"]["entropy"])

    assert entropy(entropy_reduction="sum") == pytest.approx(4 * entropy())
    assert entropy(sharpness=0.0) == pytest.approx(np.log(4) / 4)
    assert entropy(sharpness=30.0) < entropy(sharpness=20.0)


def test_an_entropy_equal_to_tau_is_familiar_in_the_paper_only() -> None:
    bank = plane(30, 30, 30, 30)
    exactly = search(RFMem(), bank, 2).trace["signals"]["entropy"]
    between: dict[str, Any] = {"theta_high": 1.5, "theta_low": -1.0, "tau": exactly}
    assert search(RFMem(**between), bank, 2).trace["path"] == "familiarity"
    assert search(RFMem(gate_test="below", **between), bank, 2).trace["path"] == "recollection"


def test_units_below_the_probes_floor_do_not_count_and_an_empty_probe_recollects() -> None:
    bank = plane(10, 120)
    assert search(RFMem(), bank, 2).trace["signals"]["probe"] == 2
    above = search(RFMem(probe_floor=0.0), bank, 2).trace
    assert (above["signals"]["probe"], above["signals"]["entropy"]) == (1, 0.0)
    nothing = search(RFMem(probe_floor=0.0, theta_high=-2, theta_low=-2), plane(120, 130), 2)
    assert nothing.trace["path"] == "recollection"
    assert nothing.trace["signals"]["decided_by"] == "empty-probe"
    assert nothing.trace["signals"]["mean_score"] is None
    assert keys(nothing) == [1, 2]


def test_alpha_says_how_far_the_query_goes() -> None:
    """At alpha 0 norm(g + q) is half way; at 1 it is q itself."""
    bank = plane(*ONE_SIDED)
    drifts = [
        search(replace(PAIRS, alpha=alpha), bank, 2).trace["rounds"][0]["kept"][0]["cosine_to_query"]
        for alpha in (0.0, 0.5, 1.0)
    ]
    assert drifts == [cosine(5.0), cosine(2.4953), cosine(0.0)]


def test_the_codes_branch_score_is_that_of_the_old_query_and_adds_its_parents() -> None:
    """As in the first example, but from 2.4953 degrees the unit at 36 scores cos 33.5048 + cos 10 = 1.818648 and
    from 4.9616 cos 31.0384 + cos 20 = 1.796515: now the first brings it, with the cosine 0.894257.
    """
    found = search(replace(PAIRS, branch_score="code"), plane(*ONE_SIDED), 3)
    assert [each["score"] for each in found.trace["rounds"][1]["kept"]] == pytest.approx([1.818648, 1.796515], abs=1e-5)
    assert found.hits[2].parts["recollected"] == pytest.approx(0.894257, abs=1e-5)


def test_mmr_takes_from_branches_that_repeat_each_other() -> None:
    bank = plane(5, -30, -31, -32)
    assert keys(search(replace(PAIRS, fanout=2, mmr_lambda=0.5), bank, 4)) == [1, 2, 3, 4]
    coded = search(replace(PAIRS, fanout=2, mmr_lambda=0.9, branch_score="code"), bank, 4)
    # 0.9 * cos 5 - 0.1 * cos 35, and for -30, -31, -32 the nearest other is one degree away.
    single = 0.9 * np.cos(np.radians(5)) - 0.1 * np.cos(np.radians(35))
    three = sum(0.9 * np.cos(np.radians(angle)) - 0.1 * np.cos(np.radians(1)) for angle in (30, 31, 32))
    assert [each["score"] for each in coded.trace["rounds"][0]["kept"]] == pytest.approx([three, single], abs=1e-5)


def test_the_centre_is_normalised_or_not() -> None:
    """One cluster of 40 and -30 degrees, alpha 0. Its centre is at 5, its mean is cos 35 = 0.819152 long.

    norm(g + q) is at 2.5 degrees; with the mean at atan2(0.819152 sin 5, 1 + 0.819152 cos 5) = 2.2513.
    """
    one = RFMem(path="recollection", alpha=0.0, beam=1, fanout=2)
    for centroid, degrees in (("normalised", 2.5), ("mean", 2.2513)):
        found = search(replace(one, centroid=centroid), plane(40, -30), 2)  # type: ignore[arg-type]
        assert found.trace["rounds"][0]["kept"][0]["cosine_to_query"] == cosine(degrees)


def test_units_found_before_are_left_out_before_or_after_clustering() -> None:
    """After: in round 1 the known units at 10 and 20 make the better clusters, which push that of 36 out."""
    bank = plane(*ONE_SIDED)
    assert search(PAIRS, bank, 3).trace["signals"]["recollected"] == 3
    after = search(replace(PAIRS, duplicates="after"), bank, 3)
    assert after.trace["signals"] | {"recollected": 2, "filled": 1, "rounds": 2} == after.trace["signals"]
    assert keys(after) == [1, 2, 3]


BOTH_SIDES = (10.0, -20.0, 40.0, -45.0, 80.0, 100.0)
"""Two a round; in round 2 the four nearest of each query are the four that are known."""


def test_a_round_without_anything_new_is_the_last_or_the_next_looks_further() -> None:
    bank = plane(*BOTH_SIDES)
    stopped = search(PAIRS, bank, 6).trace
    assert [each["new"] for each in stopped["rounds"]] == [2, 2, 0]
    assert stopped["signals"]["filled"] == 2
    further = search(replace(PAIRS, when_empty="continue"), bank, 6)
    assert [each["new"] for each in further.trace["rounds"]] == [2, 2, 0, 1, 1]
    assert further.trace["signals"]["filled"] == 0
    assert keys(further) == [1, 2, 3, 4, 5, 6]


def test_the_budget_may_be_kept_below_k() -> None:
    bank = plane(*ONE_SIDED)
    free, below = search(PAIRS, bank, 3), search(replace(PAIRS, budget="below-k"), bank, 3)
    assert [each["neighbours"] for each in free.trace["rounds"]] == [2, 3]
    assert [each["neighbours"] for each in below.trace["rounds"]] == [2, 2]
    assert keys(below) == [1, 2, 3]
    endless = replace(PAIRS, budget="below-k", when_empty="continue", rounds=1000)
    assert len(search(endless, bank, 3).trace["rounds"]) == 2


def test_it_stops_when_k_are_found_or_makes_all_rounds() -> None:
    bank = plane(*BOTH_SIDES)
    assert len(search(PAIRS, bank, 2).trace["rounds"]) == 1
    assert len(search(replace(PAIRS, early_stop=False), bank, 2).trace["rounds"]) == 2
    many = replace(PAIRS, early_stop=False, when_empty="continue", rounds=5)
    assert len(search(many, bank, 2).trace["rounds"]) == 5
    assert search(replace(PAIRS, rounds=1), bank, 4).trace["signals"]["filled"] == 2


def test_the_answer_is_in_the_order_found_or_of_the_best_cosines() -> None:
    side, three = plane(*ONE_SIDED), plane(5, -30, -31, -32)
    assert keys(search(PAIRS, side, 4)) == [1, 2, 4, 3]
    assert keys(search(replace(PAIRS, final_order="rerank"), side, 4)) == [1, 2, 3, 4]
    assert keys(search(replace(PAIRS, final_order="kept-score"), side, 4)) == [1, 2, 4, 3]
    kept = search(replace(PAIRS, fanout=2, final_order="kept-score"), three, 4)
    assert keys(kept) == [1, 2, 3, 4]
    assert [hit.score for hit in kept.hits] == [hit.parts["recollected"] for hit in kept.hits]
    # Without early stop the order is chosen among more than k.
    many = replace(PAIRS, early_stop=False, when_empty="continue", rounds=9, final_order="rerank")
    assert keys(search(many, side, 3)) == [1, 2, 3]


def test_a_floor_makes_lists_shorter_on_both_paths() -> None:
    bank = plane(*ONE_SIDED)  # cosines 0.985, 0.940, 0.819, 0.809; the last is 0.834 and 0.857 from the drifted queries
    assert keys(search(RFMem(path="familiarity", floor=0.81), bank, 4)) == [1, 2, 3]
    assert keys(search(replace(PAIRS, floor=0.84), bank, 3)) == [1, 2, 4]
    assert keys(search(replace(PAIRS, floor=0.86), bank, 3)) == [1, 2]
    assert search(RFMem(floor=0.99), bank, 3).hits == ()


def test_the_seed_is_that_of_the_clustering() -> None:
    random = np.random.default_rng(5)
    vectors = random.standard_normal((60, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bank = ArrayView(
        [ViewUnit(key=key, session=0, text="", vector=vectors[key].astype(np.float32)) for key in range(60)]
    )
    query = Query(
        text="", vector=vectors.sum(axis=0).astype(np.float32) / np.float32(np.linalg.norm(vectors.sum(axis=0)))
    )
    found = {
        tuple(hit.key for hit in RFMem(path="recollection", fanout=12, seed=seed).retrieve(query, bank, 20).hits)
        for seed in range(12)
    }
    assert len(found) > 1


# edges


@pytest.mark.parametrize("retriever", [RFMem(), PAIRS, RFMem(path="familiarity"), RFMem(path="recollection", fanout=3)])
def test_awkward_memories_are_searched(retriever: RFMem) -> None:
    for degrees, expected in (
        ((), []),
        ((170,), [1]),
        ((180,), [1]),
        ((180, 180, 180), [1, 2, 3]),
        ((0, 0, 0, 0, 0, 0), [1, 2, 3, 4, 5, 6]),
        ((100, 120, 140, 160), [1, 2, 3, 4]),
    ):
        found = search(retriever, plane(*degrees), 6)
        assert sorted(keys(found)) == expected
        json.dumps(found.trace, allow_nan=False)


def test_a_cluster_opposite_to_the_query_does_not_move_it() -> None:
    found = search(RFMem(path="recollection", alpha=0.0, beam=1, fanout=1), plane(180), 1)
    assert found.trace["rounds"][0]["kept"][0]["cosine_to_query"] == cosine(0)


def test_units_that_cancel_each_other_have_no_centre() -> None:
    one = RFMem(path="recollection", alpha=0.5, beam=1, fanout=2)
    assert search(one, plane(90, -90), 2).trace["rounds"][0]["kept"][0]["cosine_to_query"] == cosine(0)


def test_a_query_that_is_not_finite_is_refused() -> None:
    vector = np.array([np.nan, 1.0], dtype=np.float32)
    for path in ("gated", "familiarity", "recollection"):
        with pytest.raises(InvalidVector, match="finite"):
            RFMem(path=path).retrieve(Query(text="", vector=vector), plane(10, 20), 1)


def test_any_granularity_is_ranked_by_its_own_vectors() -> None:
    angles = {Granularity.TURN: 10.0, Granularity.SESSION: 40.0, Granularity.SUMMARY: 70.0}
    bank = ArrayView(
        [
            ViewUnit(key=key, session=0, text="", vector=direction(angle), granularity=granularity)
            for key, (granularity, angle) in enumerate(angles.items(), start=1)
        ]
    )
    for key, (granularity, angle) in enumerate(angles.items(), start=1):
        found = RFMem().retrieve(Query(text="", vector=direction(0), granularity=granularity), bank, 3)
        assert [(hit.key, hit.score) for hit in found.hits] == [(key, cosine(angle))]


# settings


def test_the_papers_settings() -> None:
    """Appendix B; alpha and tau are not in it."""

    def settings(name: str, **options: Any) -> tuple[Any, ...]:
        made = RFMem.paper(name, alpha=0.4, tau=0.2, **options)
        assert (made.alpha, made.tau, made.theta_high, made.gate_test, made.branch_score) == (
            0.4,
            0.2,
            0.6,
            "at-most",
            "paper",
        )
        return made.theta_low, made.sharpness, made.probe, made.beam, made.fanout

    assert settings("longmemeval") == settings("longmemeval", k=50) == (0.0, 20.0, 10, 4, 1)
    assert settings("personamem") == (0.3, 20.0, 10, 3, 2)
    assert settings("personabench", k=5) == (0.0, 30.0, None, 3, 1)
    assert settings("personabench") == (0.0, 30.0, None, 3, 2)
    assert RFMem.paper("personamem", alpha=0.4, tau=0.2, path="recollection").path == "recollection"


def test_the_released_settings() -> None:
    def settings(name: str, **options: Any) -> tuple[Any, ...]:
        made = RFMem.released(name, **options)
        assert (made.gate_test, made.branch_score, made.final_order, made.seed) == ("below", "code", "insertion", 42)
        assert (made.duplicates, made.centroid, made.entropy_reduction) == ("before", "normalised", "mean")
        return (
            *(made.theta_high, made.theta_low, made.tau, made.alpha, made.beam, made.fanout, made.rounds),
            *(made.sharpness, made.probe, made.probe_floor, made.floor, made.mmr_lambda, made.when_empty),
        )

    assert settings("longmemeval") == (0.6, 0.0, 0.1, 0.7, 4, 1, 50, 20.0, 10, 0.0, 0.0, 1.0, "continue")
    alone = settings("longmemeval", path="recollection")
    assert alone == (0.6, 0.0, 0.1, 0.8, 4, 1, 50, 20.0, 10, 0.0, 0.0, 0.99, "continue")
    assert settings("personamem") == (0.6, 0.3, 0.2, 0.8, 3, 2, 10, 20.0, 10, 0.0, 0.3, 0.95, "continue")
    assert settings("personabench") == (0.5, 0.2, 0.2, 0.8, 4, 1, 10, 30.0, None, None, 0.0, 0.9, "stop")
    assert settings("personabench", alpha=0.3, tau=0.25)[2:4] == (0.25, 0.3)


def test_a_setting_that_was_not_published_is_refused_with_those_that_were() -> None:
    valid = "'longmemeval', 'personamem', 'personabench'"
    with pytest.raises(UnknownName, match=valid):
        RFMem.paper("locomo", alpha=0.5, tau=0.2)
    with pytest.raises(UnknownName, match=valid):
        RFMem.released("locomo")
    with pytest.raises(InvalidInput, match="k is 0"):
        RFMem.paper("personabench", alpha=0.5, tau=0.2, k=0)


def test_the_thresholds_are_numbers_after_construction() -> None:
    made = make("rf-mem")
    assert isinstance(made, RFMem)
    assert (made.theta_high, made.theta_low, made.tau, made.alpha) == (0.6, 0.3, 0.20, 0.5)
    assert made == RFMem() == make("rf-mem", alpha="none", tau="0.2")
    assert hash(made) == hash(RFMem())
    assert make("rf-mem", path="recollection", alpha="0.7", early_stop="no") == RFMem(
        path="recollection", alpha=0.7, early_stop=False
    )


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"path": "both"}, UnknownName, "'gated', 'familiarity', 'recollection'"),
        ({"entropy_reduction": "max"}, UnknownName, "'mean', 'sum'"),
        ({"gate_test": "<"}, UnknownName, "'at-most', 'below'"),
        ({"branch_score": "sum"}, UnknownName, "'paper', 'code'"),
        ({"centroid": None}, UnknownName, "'normalised', 'mean'"),
        ({"duplicates": "never"}, UnknownName, "'before', 'after'"),
        ({"when_empty": "loop"}, UnknownName, "'stop', 'continue'"),
        ({"budget": "k"}, UnknownName, "'free', 'below-k'"),
        ({"final_order": "dense"}, UnknownName, "'insertion', 'kept-score', 'rerank'"),
        ({"alpha": 1.1}, InvalidInput, "alpha is 1.1"),
        ({"alpha": "0.5"}, InvalidInput, "alpha is '0.5'"),
        ({"tau": float("nan")}, InvalidInput, "tau is nan"),
        ({"tau": -2}, InvalidInput, "tau is -2"),
        ({"theta_high": 3}, InvalidInput, "from -2 to 2"),
        ({"theta_high": 0.2, "theta_low": 0.3}, InvalidInput, "above theta_high"),
        ({"theta_low": 0.7}, InvalidInput, "above theta_high"),
        ({"sharpness": -1}, InvalidInput, "sharpness is -1"),
        ({"probe": 0}, InvalidInput, "probe is 0"),
        ({"probe_floor": float("inf")}, InvalidInput, "probe_floor is inf"),
        ({"beam": 0}, InvalidInput, "beam is 0"),
        ({"fanout": 1.5}, InvalidInput, "fanout is 1.5"),
        ({"rounds": 0}, InvalidInput, "rounds is 0"),
        ({"floor": "low"}, InvalidInput, "floor is 'low'"),
        ({"mmr_lambda": 1.5}, InvalidInput, "mmr_lambda is 1.5"),
        ({"early_stop": 1}, InvalidInput, "early_stop is 1"),
        ({"seed": -1}, InvalidInput, "seed is -1"),
        ({"seed": True}, InvalidInput, "seed is True"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(params: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RFMem(**params)
