from __future__ import annotations

import math

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.errors import DuplicateId, InvalidInput
from memagent.evals.metrics import KS, METRICS, score, score_alternatives

UNITS = [f"s{i}" for i in range(70)]


def test_all_metrics_come_in_their_order_and_none_is_called_just_recall() -> None:
    values = score(["a"], ["a"])
    assert tuple(values) == METRICS
    assert len(METRICS) == 5 * 6 + 1
    assert not any(name == "recall" or name.startswith("recall@") for name in METRICS)


def test_recall_in_its_three_forms_by_hand() -> None:
    values = score(["x", "b", "y", "a", "z", "c"], {"a", "b", "c"})
    assert [values[f"recall_any@{k}"] for k in KS] == [0, 1, 1, 1, 1, 1]
    assert [values[f"recall_all@{k}"] for k in KS] == [0, 0, 0, 1, 1, 1]
    assert [values[f"recall_fraction@{k}"] for k in KS] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])
    assert values["mrr"] == 0.5


def test_ndcg_any_does_not_discount_rank_two() -> None:
    second = score(["x", "a"], {"a"})
    assert second["ndcg_any@3"] == 1.0
    assert second["ndcg@3"] == pytest.approx(1 / math.log2(3))
    assert second["ndcg_any@1"] == second["ndcg@1"] == 0.0


def test_ndcg_any_by_hand() -> None:
    # gold at ranks 1, 4 and 5 of three: DCG = 1 + 1/log2(4) + 1/log2(5); ideal = 1 + 1 + 1/log2(3)
    values = score(["a", "x", "y", "b", "c"], {"a", "b", "c"})
    ideal = 1 + 1 + 1 / math.log2(3)
    assert values["ndcg_any@5"] == pytest.approx((1 + 1 / 2 + 1 / math.log2(5)) / ideal)
    assert values["ndcg_any@3"] == pytest.approx(1 / ideal)
    assert values["ndcg_any@1"] == 1.0


def test_the_ideal_of_ndcg_takes_only_gold_units_that_the_corpus_holds() -> None:
    values = score(["a", "x"], {"a", "gone"}, in_corpus=1)
    assert values["ndcg@5"] == values["ndcg_any@5"] == 1.0
    assert values["recall_all@5"] == 0.0
    assert score([], {"gone"}, in_corpus=0)["ndcg@5"] == 0.0


def test_a_ranking_shorter_than_k_misses_what_it_does_not_hold() -> None:
    values = score(["a"], {"a", "b"})
    assert values["recall_fraction@50"] == 0.5
    assert values["recall_all@50"] == 0.0
    assert set(score([], {"a"}).values()) == {0.0}


def test_ranks_beyond_the_largest_cut_off_are_not_looked_at() -> None:
    ranked = [*UNITS[:50], "late"]
    assert set(score(ranked, {"late"}).values()) == {0.0}


def test_a_question_without_gold_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no gold unit"):
        score(["a"], set())


def test_a_ranking_with_a_unit_twice_is_refused() -> None:
    with pytest.raises(DuplicateId, match="twice"):
        score(["a", "b", "a"], {"a"})


rankings = st.lists(st.sampled_from(UNITS), unique=True, max_size=55)
golds = st.sets(st.sampled_from(UNITS), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(ranked=rankings, gold=golds)
def test_agreement_with_ir_measures(ranked: list[str], gold: set[str]) -> None:
    values = score(ranked, gold)
    top = ranked[:50]
    qrels = [ir_measures.Qrel("q", unit, 1) for unit in sorted(gold)]
    run = [ir_measures.ScoredDoc("q", unit, float(-i)) for i, unit in enumerate(top)]
    theirs: dict[str, ir_measures.Measure] = {"mrr": ir_measures.RR}
    for k in KS:
        theirs |= {
            f"recall_fraction@{k}": ir_measures.R @ k,
            f"ndcg@{k}": ir_measures.nDCG @ k,
            f"recall_any@{k}": ir_measures.Success @ k,
        }
    found = ir_measures.calc_aggregate(list(theirs.values()), qrels, run)
    for name, measure in theirs.items():
        assert values[name] == pytest.approx(found[measure], abs=1e-9), name


@given(ranked=rankings, gold=golds)
def test_ndcg_any_agrees_with_its_definition(ranked: list[str], gold: set[str]) -> None:
    def dcg(relevances: list[int]) -> float:
        return sum(rel if j == 1 else rel / math.log2(j) for j, rel in enumerate(relevances, start=1))

    values = score(ranked, gold)
    for k in KS:
        gained = dcg([int(unit in gold) for unit in ranked[:k]])
        ideal = dcg([1] * min(k, len(gold)))
        assert values[f"ndcg_any@{k}"] == pytest.approx(gained / ideal)


@given(ranked=rankings, gold=golds)
def test_recall_all_is_fractional_recall_that_is_complete(ranked: list[str], gold: set[str]) -> None:
    values = score(ranked, gold)
    for k in KS:
        fraction = values[f"recall_fraction@{k}"]
        assert values[f"recall_all@{k}"] == float(fraction == 1.0)
        assert values[f"recall_any@{k}"] == float(fraction > 0)
    assert all(0.0 <= value <= 1.0 + 1e-12 for value in values.values())


def test_alternatives_take_the_best_combination() -> None:
    # part one: a or b; part two: c. Combinations {a, c} and {b, c}.
    values = score_alternatives(["b", "c", "x"], [["a", "b"], ["c"]])
    assert values["recall_all@3"] == values["recall_fraction@3"] == values["ndcg@3"] == 1.0
    partial = score_alternatives(["x", "b"], [["a", "b"], ["c"]])
    assert partial["recall_fraction@3"] == 0.5
    assert partial["recall_all@50"] == 0.0
    assert partial["mrr"] == 0.5


def test_one_unit_may_serve_several_parts() -> None:
    # The combination {a} is smaller than {a, b}: with a alone retrieved it is complete.
    assert score_alternatives(["a"], [["a", "b"], ["a"]])["recall_fraction@1"] == 1.0


@given(ranked=rankings, gold=golds)
def test_parts_without_a_choice_score_like_a_gold_set(ranked: list[str], gold: set[str]) -> None:
    assert score_alternatives(ranked, [[unit] for unit in gold]) == score(ranked, gold)


def test_many_combinations_are_cut_to_the_best_ranked_alternatives() -> None:
    parts = [[f"s{i}", f"n{i}", f"m{i}"] for i in range(20)]
    values = score_alternatives(UNITS[:20], parts)
    assert values["recall_all@30"] == 1.0


@pytest.mark.parametrize("parts", [[], [["a"], []]])
def test_an_answer_part_without_alternatives_is_refused(parts: list[list[str]]) -> None:
    with pytest.raises(InvalidInput, match="no gold unit"):
        score_alternatives(["a"], parts)
