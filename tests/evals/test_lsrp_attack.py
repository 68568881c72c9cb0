"""The reconstruction attack: it finds what is told, and without that it is no better than chance."""

from __future__ import annotations

import numpy as np
import pytest

from memagent.errors import InvalidInput, ModelRefused
from memagent.evals.lsrp.attack import (
    Victim,
    candidates,
    guess_by_model,
    guess_by_texts,
    guess_by_vectors,
    judged,
)
from memagent.evals.lsrp.index_leakage import index_figures
from memagent.evals.lsrp.privacy import attack_figures
from memagent.llm.flow import drive
from memagent.prompts.lsrp_attack import FieldGuess, ProfileGuess
from memagent.testing import HashingEncoder, ScriptedModel

VALUES = {"city": ["Bergen", "Oaxaca"], "work": ["baker", "nurse"]}
VICTIMS = [
    Victim(sent=("a loaf for B e r g e n",), profile={"city": "Bergen", "work": "baker"}),
    Victim(sent=("for Oaxaca", "the nurse is here"), profile={"city": "Oaxaca", "work": "nurse"}),
    Victim(sent=(), profile={"city": "Bergen", "work": "nurse"}),
]


def test_what_can_be_read_is_guessed_and_without_texts_the_first_value() -> None:
    guesses = guess_by_texts(VICTIMS, VALUES, HashingEncoder())
    assert [guess["city"] for guess in guesses] == ["Bergen", "Oaxaca", "Bergen"]
    assert guesses[1]["work"] == "nurse"


def test_accuracy_is_set_beside_the_guess_of_the_most_frequent_value() -> None:
    values = candidates(VICTIMS, ["city", "work"])
    assert values == {"city": ["Bergen", "Oaxaca"], "work": ["nurse", "baker"]}
    rows = judged(VICTIMS, [{"city": "Bergen", "work": "nurse"}] * 3, values)
    assert [(row.field, row.users) for row in rows] == [("city", 3), ("work", 3)]
    assert [row.chance for row in rows] == pytest.approx([2 / 3, 2 / 3])
    assert [row.accuracy.mean for row in rows] == pytest.approx([2 / 3, 2 / 3])
    with pytest.raises(InvalidInput, match="1 guesses for 3 users"):
        judged(VICTIMS, [{}], values)


def test_a_vector_gives_away_the_value_that_it_was_made_of() -> None:
    encoder = HashingEncoder()
    vectors = encoder.encode_documents(["city: Oaxaca", "city: Bergen"])
    assert guess_by_vectors(np.asarray(vectors), {"city": VALUES["city"]}, encoder) == [
        {"city": "Oaxaca"},
        {"city": "Bergen"},
    ]


def test_a_model_guesses_and_what_it_makes_up_is_not_counted() -> None:
    guessed = ProfileGuess(
        guesses=[
            FieldGuess(field="city", value="OAXACA"),
            FieldGuess(field="work", value="pilot"),
            FieldGuess(field="age", value="31"),
        ]
    )
    model = ScriptedModel([guessed, ModelRefused("no")])
    assert drive(guess_by_model(["for Oaxaca"], VALUES), model) == {"city": "Oaxaca", "work": "baker"}
    assert drive(guess_by_model(["for Oaxaca"], VALUES), model) == {"city": "Bergen", "work": "baker"}


def test_facts_told_as_they_are_are_reconstructed_without_a_guard_and_not_with_it() -> None:
    figures = attack_figures(HashingEncoder(), people=40)
    assert all(row.accuracy.mean == 1.0 for row in figures["off", "as it is"])
    for told in ("nothing", "as it is", "disguised"):
        for row in figures["redact", told]:
            assert row.accuracy.mean <= row.chance + 0.2


def test_an_index_with_texts_gives_everything_away_and_counts_the_prior() -> None:
    figures = index_figures(HashingEncoder(), people=60)
    assert all(row.accuracy.mean == 1.0 for row in figures["texts"])
    assert all(row.accuracy.mean == pytest.approx(row.chance) for row in figures["counts"])
