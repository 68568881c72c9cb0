"""The made-up world: the same for one seed, right in itself, and not to be answered without its passages."""

from __future__ import annotations

from collections import Counter

import pytest
from hop_examples import world

from memagent.errors import InvalidInput
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.vocabulary import RELATIONS, decomposed, question_text
from memagent.evals.multihop.world import make_world
from memagent.llm import Model
from memagent.prompts.multihop import answer_directly, answer_from_passages
from memagent.prompts.reason_rag import Reference


def test_it_has_a_thousand_passages_and_240_questions_of_two_to_four_hops() -> None:
    made = make_world()
    assert len(made.passages) == 1_000
    assert Counter(question.type for question in made.questions) == {"2-hop": 80, "3-hop": 80, "4-hop": 80}
    assert len({question.text for question in made.questions}) == 240
    assert len({passage.title for passage in made.passages}) == 1_000


def test_one_seed_makes_one_world() -> None:
    assert make_world(seed=3, passages=150, questions=9) == make_world(seed=3, passages=150, questions=9)
    assert make_world(seed=3, passages=150, questions=9) != make_world(seed=4, passages=150, questions=9)


def test_each_gold_passage_states_its_hop_and_the_last_the_answer() -> None:
    made = world()
    passages = {passage.id: passage for passage in made.passages}
    for question in made.questions:
        parts = decomposed(question.text)
        assert parts is not None
        here, relations = parts
        assert len(question.gold) == len(relations) == len(question.hops)
        for relation, name, hop in zip(relations, question.gold, question.hops, strict=True):
            stated = RELATIONS[relation].stated(passages[name].text, here)
            assert stated is not None
            here = stated[1]
            assert here == hop.answer
        assert question.answers == (here,)
        assert here not in question.text


def test_a_third_of_the_questions_of_two_hops_name_where_they_start_in_both_passages() -> None:
    made = make_world()
    texts = {passage.id: passage.text for passage in made.passages}
    starts = [(question, (decomposed(question.text) or ("", ()))[0]) for question in made.questions]
    reachable = [question.type for question, start in starts if all(start in texts[name] for name in question.gold)]
    assert Counter(reachable) == {"2-hop": 27}


@pytest.mark.parametrize("start", ["The Amber Clock at Borlin", "Ilse Varn", "Dorna Works"])
@pytest.mark.parametrize(
    "relations", [("author",), ("author", "birthplace"), ("founder", "teacher", "teacher", "year")]
)
def test_a_question_is_taken_apart_as_it_was_made(start: str, relations: tuple[str, ...]) -> None:
    assert decomposed(question_text(start, relations)) == (start, relations)


def test_other_questions_are_not_taken_apart() -> None:
    for text in ("Who wrote it?", "What is the weather of Lyon?", "", "What is the "):
        assert decomposed(text) is None


def test_the_scripted_model_knows_only_what_it_is_shown() -> None:
    made, model = world(), Model(WorldModel())
    question = made.questions[0]
    gold = [passage for passage in made.passages if passage.id in question.gold]
    shown = [Reference(title=passage.title, text=passage.text) for passage in gold]
    assert "unknown" in model.ask(answer_directly(question.text)).value
    assert "unknown" in model.ask(answer_from_passages(question.text, shown[:-1])).value
    assert question.answers[0] in model.ask(answer_from_passages(question.text, shown)).value


def test_a_world_too_small_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 100 passages"):
        make_world(passages=10)
    with pytest.raises(InvalidInput, match="make more passages"):
        make_world(passages=100, questions=100_000)
