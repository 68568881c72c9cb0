"""The vote by hand, its ties, and the other ways to choose a style."""

from __future__ import annotations

import pytest

from memagent.agents.lsrp.choosing import (
    CountChooser,
    FixedChooser,
    ModelChooser,
    NeighbourChooser,
    OracleChooser,
    named_style,
    vote,
)
from memagent.agents.lsrp.index import Neighbour, NeighbourIndex
from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask
from memagent.agents.lsrp.private_counts import PrivateCounts, hyperplanes
from memagent.agents.lsrp.strategies import GENERAL, STYLES
from memagent.errors import InvalidInput, UnknownName
from memagent.testing import HashingEncoder, ScriptedModel

ENCODER = HashingEncoder(dim=64)
TASK = PrivateTask(text="Write a toast.", task_type=TaskType.WRITING, profile={"work": "baker"})


def nearest(*styles: str) -> list[Neighbour]:
    return [Neighbour(style=style, distance=0.1 * place, text=None) for place, style in enumerate(styles)]


@pytest.mark.parametrize(
    ("styles", "chosen"),
    [
        (["supportive"], "supportive"),
        (["supportive", "directive", "directive"], "directive"),
        (["achievement", "directive", "directive", "achievement"], "achievement"),  # a tie: the style met first
        (["participative", "directive", "achievement", "supportive"], "participative"),
        ([], GENERAL),
    ],
)
def test_the_majority_decides_and_a_tie_goes_to_the_style_met_first(styles: list[str], chosen: str) -> None:
    assert vote(nearest(*styles)).strategy == chosen


def test_the_votes_are_in_the_choice() -> None:
    assert dict(vote(nearest("directive", "supportive", "directive")).votes) == {"directive": 2, "supportive": 1}


def test_the_first_k_of_the_nearest_vote() -> None:
    others = [PrivateTask(text=f"Write a toast {'again ' * n}.", task_type=TASK.task_type) for n in range(4)]
    index = NeighbourIndex.of([TASK, *others], ["achievement", *["directive"] * 4], encoder=ENCODER)
    assert NeighbourChooser(index=index, k=1).choose(TASK).strategy == "achievement"
    assert NeighbourChooser(index=index).choose(TASK).strategy == "directive"
    assert NeighbourChooser(index=index, k=3, fetched=3).choose(TASK).votes == {"achievement": 1, "directive": 2}


@pytest.mark.parametrize(("k", "fetched"), [(0, 50), (51, 50)])
def test_a_k_that_cannot_be_is_refused(k: int, fetched: int) -> None:
    with pytest.raises(InvalidInput, match="fetched"):
        NeighbourChooser(index=NeighbourIndex.of([], [], encoder=ENCODER), k=k, fetched=fetched)


def test_an_empty_index_chooses_the_general_strategy_and_says_why() -> None:
    choice = NeighbourChooser(index=NeighbourIndex.of([], [], encoder=ENCODER)).choose(TASK)
    assert (choice.strategy, choice.reason) == (GENERAL, "the index holds no neighbour")


def test_counts_choose_the_greatest_and_the_general_strategy_where_nothing_is_counted() -> None:
    def chooser(styles: list[str]) -> CountChooser:
        regions = hyperplanes(1, encoder=ENCODER)
        users = [str(number) for number in range(len(styles))]
        counts = PrivateCounts.of(
            [TASK] * len(styles), styles, users, encoder=ENCODER, regions=regions, styles=STYLES, epsilon=1e9, seed=0
        )
        return CountChooser(counts=counts)

    assert chooser(["supportive", "supportive", "directive"]).choose(TASK).strategy == "supportive"
    assert chooser([]).choose(TASK).strategy == GENERAL


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        ("Supportive", "supportive"),
        ("I would take an ACHIEVEMENT-oriented manner.", "achievement"),
        ("participative, not directive", "participative"),
        ("none of them", GENERAL),
        ("", GENERAL),
    ],
)
def test_the_style_that_a_model_names_first_is_chosen(reply: str, chosen: str) -> None:
    assert named_style(reply).strategy == chosen
    assert ModelChooser(model=ScriptedModel([reply or "?"])).choose(TASK).strategy == chosen


def test_fixed_and_oracle_choose_what_they_were_given() -> None:
    assert FixedChooser().choose(TASK).strategy == GENERAL
    assert FixedChooser(strategy="directive").choose(TASK).strategy == "directive"
    with pytest.raises(UnknownName):
        FixedChooser(strategy="laissez-faire")
    oracle = OracleChooser.of([TASK, TASK], ["supportive", "directive"])
    assert oracle.choose(TASK).strategy == "supportive"
    assert oracle.choose(PrivateTask(text="Other.", task_type=TASK.task_type)).strategy == GENERAL
    with pytest.raises(InvalidInput, match="styles"):
        OracleChooser.of([TASK], [])
