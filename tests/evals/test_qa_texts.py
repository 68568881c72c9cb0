"""BLEU, ROUGE and BERTScore: the settings of published figures, and what is said where a package is missing."""

from __future__ import annotations

import sys

import pytest

from memagent.encoders.packaged import packaged_folder
from memagent.evals.qa.texts import BertModel, text_scores

SAID = ["the cat sat on the mat today", "In Porto."]
WANTED = ["the cat sat on the mat", "Porto"]


def test_bleu_is_that_of_the_corpus_without_smoothing() -> None:
    pytest.importorskip("sacrebleu")
    # By hand, tokens of both answers together: matches over candidates for n = 1..4.
    precisions = [(6 + 1) / (7 + 3), 5 / (6 + 2), 4 / (5 + 1), 3 / 4]
    expected = (precisions[0] * precisions[1] * precisions[2] * precisions[3]) ** 0.25
    assert text_scores(SAID, WANTED).corpus["bleu"] == pytest.approx(expected, abs=1e-6)
    assert text_scores(["x y"], ["a b"]).corpus["bleu"] == 0


def test_rouge_is_an_f_measure_of_each_answer_without_stemming() -> None:
    pytest.importorskip("rouge_score")
    scores = text_scores([*SAID, "running"], [*WANTED, "runs"]).each
    assert scores["rouge1"] == pytest.approx([2 * 6 / 13, 2 / 3, 0.0])
    assert scores["rouge2"] == pytest.approx([2 * 5 / 11, 0.0, 0.0])
    assert scores["rougeL"] == pytest.approx([2 * 6 / 13, 2 / 3, 0.0])


@pytest.mark.parametrize(
    ("package", "metric"), [("sacrebleu", "bleu"), ("rouge_score", "rouge"), ("bert_score", "bertscore")]
)
def test_a_package_that_is_missing_is_named_and_its_metric_left_out(
    monkeypatch: pytest.MonkeyPatch, package: str, metric: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    scores = text_scores(SAID, WANTED, bert=BertModel(name="any"))
    assert "memagent[eval]" in scores.left_out[metric]
    assert not [name for name in (*scores.each, *scores.corpus) if name.startswith(metric)]


def test_bertscore_is_left_out_unless_a_model_is_named() -> None:
    assert "--bertscore" in text_scores(SAID, WANTED).left_out["bertscore"]


def test_nothing_is_computed_of_nothing() -> None:
    scores = text_scores([], [], bert=BertModel(name="any"))
    assert (scores.each, scores.corpus, scores.left_out) == ({}, {}, {})


@pytest.mark.slow
def test_bertscore_compares_with_the_model_that_is_named() -> None:
    pytest.importorskip("bert_score")
    folder = packaged_folder()
    assert folder is not None
    scores = text_scores(SAID, WANTED, bert=BertModel(name=str(folder), layers=6)).each["bertscore"]
    assert len(scores) == 2
    assert all(0.5 < score <= 1 for score in scores)
    left_out = text_scores(SAID, WANTED, bert=BertModel(name=str(folder))).left_out
    assert "cannot be used" in left_out["bertscore"]
