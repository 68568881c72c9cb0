"""BLEU, ROUGE and BERTScore of all answers, by the packages of the ``eval`` extra; what is not there is left out.

Settings are those of HF ``evaluate``, with which MemGAS reports them: BLEU over the corpus up to 4-grams without
smoothing, ROUGE F-measures without stemming, BERTScore's mean F1. ROUGE's tokenizer knows Latin letters and digits
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

BLEU, ROUGE, BERTSCORE = "bleu", "rouge", "bertscore"
ROUGES = ("rouge1", "rouge2", "rougeL")

_EXTRA = 'not installed: pip install "memagent[eval]"'


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScores:
    """``each``: by metric a score for each answer, 0 to 1; ``corpus``: one score of all; ``left_out``: by metric
    why.
    """

    each: dict[str, list[float]] = field(default_factory=dict)
    corpus: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BertModel:
    """The model whose vectors BERTScore compares: a name or a folder, and the layer (a folder must name it)."""

    name: str
    layers: int | None = None


def text_scores(hypotheses: Sequence[str], references: Sequence[str], *, bert: BertModel | None = None) -> TextScores:
    """Every score that the installed packages can give; without ``bert`` no BERTScore, since its model is large."""
    scores = TextScores()
    if not hypotheses:
        return scores
    _bleu(scores, hypotheses, references)
    _rouge(scores, hypotheses, references)
    if bert is None:
        scores.left_out[BERTSCORE] = "no model was named for it (--bertscore)"
    else:
        _bertscore(scores, hypotheses, references, bert)
    return scores


def _bleu(scores: TextScores, hypotheses: Sequence[str], references: Sequence[str]) -> None:
    try:
        from sacrebleu.metrics import bleu
    except ImportError:
        scores.left_out[BLEU] = f"sacrebleu is {_EXTRA}"
        return
    found = bleu.BLEU(smooth_method="none").corpus_score(list(hypotheses), [list(references)])
    scores.corpus[BLEU] = found.score / 100


def _rouge(scores: TextScores, hypotheses: Sequence[str], references: Sequence[str]) -> None:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        scores.left_out[ROUGE] = f"rouge-score is {_EXTRA}"
        return
    scorer = RougeScorer(list(ROUGES), use_stemmer=False)
    found = [scorer.score(reference, hypothesis) for hypothesis, reference in zip(hypotheses, references, strict=True)]
    for name in ROUGES:
        scores.each[name] = [float(one[name].fmeasure) for one in found]


def _bertscore(scores: TextScores, hypotheses: Sequence[str], references: Sequence[str], bert: BertModel) -> None:
    try:
        from bert_score import score
    except ImportError:
        scores.left_out[BERTSCORE] = f"bert-score is {_EXTRA}"
        return
    try:
        _, _, f1 = score(list(hypotheses), list(references), model_type=bert.name, num_layers=bert.layers)
    except (OSError, KeyError, ValueError) as error:  # no such model, or no layer given for one it does not know
        reason = " ".join(str(error).split())[:200]
        scores.left_out[BERTSCORE] = f"the model {bert.name!r} cannot be used: {type(error).__name__}: {reason}"
        return
    scores.each[BERTSCORE] = [float(value) for value in f1]
