"""The index of neighbours and the noisy counts: what they find, what they keep, and files that are damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.agents.lsrp.index import _KIND, NeighbourIndex, Texts
from memagent.agents.lsrp.index_file import read_arrays, write_arrays
from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask
from memagent.agents.lsrp.private_counts import PrivateCounts, centroids, discrete_laplace, hyperplanes
from memagent.agents.lsrp.strategies import STYLES
from memagent.errors import DataError, EncoderMismatch, InvalidInput
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(dim=64)


def task(text: str, **profile: str) -> PrivateTask:
    return PrivateTask(text=text, task_type=TaskType.WRITING, profile=profile)


TASKS = [
    task("Write a toast.", work="baker of bread", likes="flour and ovens"),
    task("Write a toast.", work="sailor", likes="wind and tides"),
    task("Write a poem.", work="baker of cakes", likes="flour and sugar"),
]
BEST = ["supportive", "directive", "supportive"]


def index(*, texts: bool = True) -> NeighbourIndex:
    return NeighbourIndex.of(TASKS, BEST, encoder=ENCODER, texts=texts)


def test_neighbours_come_nearest_first_with_their_squared_distances() -> None:
    found = index().nearest(TASKS[0], 3)
    assert [one.style for one in found] == ["supportive", "supportive", "directive"]
    vectors = index().vectors.astype(np.float64)
    wanted = sorted(((vectors - vectors[0]) ** 2).sum(axis=1))
    assert [one.distance for one in found] == pytest.approx(wanted, abs=1e-6)
    assert len(index().nearest(TASKS[0], 2)) == 2


def test_the_text_is_profile_and_task_one_behind_the_other_or_the_task_alone() -> None:
    assert index().texts is not None
    assert index().nearest(TASKS[1], 1)[0].text == "work: sailor\nlikes: wind and tidesWrite a toast."
    bare = NeighbourIndex.of(TASKS, BEST, encoder=ENCODER, made=Texts(profile=False))
    assert bare.nearest(task("Write a poem."), 1)[0].text == "Write a poem."


def test_equally_near_entries_come_in_their_order() -> None:
    same = [task("One.", a="b")] * 3
    found = NeighbourIndex.of(same, ["directive", "supportive", "achievement"], encoder=ENCODER).nearest(same[0], 3)
    assert [one.style for one in found] == ["directive", "supportive", "achievement"]


def test_an_empty_index_has_no_neighbours_and_can_be_kept(tmp_path: Path) -> None:
    empty = NeighbourIndex.of([], [], encoder=ENCODER)
    empty.save(tmp_path / "index")
    assert NeighbourIndex.load(tmp_path / "index", encoder=ENCODER).nearest(TASKS[0]) == []


class Unasked(HashingEncoder):
    """What it is asked to embed is a waste."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError("texts were embedded")


def test_an_index_keeps_the_weights_by_which_its_styles_were_picked(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index().save(path)
    assert NeighbourIndex.load(path, encoder=ENCODER).weights is None
    NeighbourIndex.of(TASKS, BEST, encoder=ENCODER, weights=(9, -0.5, 0)).save(path)
    assert NeighbourIndex.load(path, encoder=ENCODER).weights == (9.0, -0.5, 0.0)
    header, arrays = read_arrays(path, _KIND)
    for weights in ((9.0, 1.0), (9.0, 1.0, float("nan"))):
        with pytest.raises(InvalidInput, match="three finite numbers"):
            NeighbourIndex.of(TASKS, BEST, encoder=Unasked(), weights=weights)
        write_arrays(path, {**header, "weights": list(weights)}, arrays)
        with pytest.raises(DataError, match="damaged"):
            NeighbourIndex.load(path, encoder=ENCODER)


@pytest.mark.parametrize("texts", [True, False])
def test_a_saved_index_finds_the_same_and_is_its_owners_alone(tmp_path: Path, texts: bool) -> None:
    path = tmp_path / "index"
    index(texts=texts).save(path)
    loaded = NeighbourIndex.load(path, encoder=ENCODER)
    assert loaded.nearest(TASKS[2]) == index(texts=texts).nearest(TASKS[2])
    assert path.stat().st_mode & 0o077 == 0


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=4))
def test_whatever_was_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "index"
    tasks = [task(text, note=value) for text, value in written]
    made = NeighbourIndex.of(tasks, [STYLES[number % 4] for number in range(len(tasks))], encoder=ENCODER)
    made.save(path)
    loaded = NeighbourIndex.load(path, encoder=ENCODER)
    assert (loaded.texts, loaded.styles) == (made.texts, made.styles)
    assert np.array_equal(loaded.vectors, made.vectors)


def test_without_texts_the_file_holds_no_word_of_a_user(tmp_path: Path) -> None:
    for texts in (True, False):
        index(texts=texts).save(tmp_path / "index")
        assert (b"sailor" in (tmp_path / "index").read_bytes()) == texts


def test_any_changed_or_missing_byte_of_a_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index().save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(whole), 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with pytest.raises(DataError, match="damaged"):
            NeighbourIndex.load(path, encoder=ENCODER)
        path.write_bytes(whole[:place])
        with pytest.raises(DataError, match="damaged"):
            NeighbourIndex.load(path, encoder=ENCODER)


def test_a_file_of_another_kind_or_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index().save(path)
    with pytest.raises(EncoderMismatch):
        NeighbourIndex.load(path, encoder=HashingEncoder(dim=32))
    with pytest.raises(DataError, match="not counts"):
        PrivateCounts.load(path, encoder=ENCODER)
    with pytest.raises(InvalidInput, match="cannot be read"):
        NeighbourIndex.load(tmp_path / "nothing", encoder=ENCODER)
    with pytest.raises(InvalidInput, match="styles"):
        NeighbourIndex.of(TASKS, BEST[:2], encoder=ENCODER)


def counts(epsilon: float = 1e9, per_user: int = 1) -> PrivateCounts:
    return PrivateCounts.of(
        TASKS,
        BEST,
        ["ann", "bob", "ann"],
        encoder=ENCODER,
        regions=hyperplanes(2, encoder=ENCODER),
        styles=STYLES,
        epsilon=epsilon,
        per_user=per_user,
        seed=1,
    )


def test_counts_almost_without_noise_are_those_of_the_first_tasks_of_each_user() -> None:
    assert counts().counts.sum(axis=0).tolist() == [1, 1, 0, 0]
    assert counts(per_user=2).counts.sum(axis=0).tolist() == [1, 2, 0, 0]
    assert counts().votes(TASKS[1])["directive"] == 1


def test_saved_counts_give_the_same_votes_and_hold_nothing_but_numbers(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    made = counts(epsilon=0.5)
    made.save(path)
    loaded = PrivateCounts.load(path, encoder=ENCODER)
    assert all(loaded.votes(one) == made.votes(one) for one in TASKS)
    assert loaded.epsilon == 0.5
    content = path.read_bytes()
    assert not any(word in content for word in (b"baker", b"sailor", b"toast", b"ann"))
    assert b"vectors" not in content
    path.write_bytes(content[:-9])
    with pytest.raises(DataError, match="damaged"):
        PrivateCounts.load(path, encoder=ENCODER)


def test_the_noise_has_the_distribution_that_was_promised() -> None:
    scale = 2.0
    drawn = discrete_laplace(40_000, scale, seed=3)
    seen = Counter(drawn.tolist())
    ratio = np.exp(-1 / scale)
    for number in range(-3, 4):
        wanted = (1 - ratio) / (1 + ratio) * ratio ** abs(number)
        assert seen[number] / len(drawn) == pytest.approx(wanted, abs=0.01)
    assert discrete_laplace(5, 50.0).tolist() != discrete_laplace(5, 50.0).tolist()  # no seed: never the same noise


@pytest.mark.parametrize("per_user", [1, 2])
def test_a_user_more_or_less_moves_the_counts_by_no_more_than_the_noise_is_scaled_for(per_user: int) -> None:
    regions = hyperplanes(4, encoder=ENCODER)
    tasks = [task(f"Task {number} of {number % 3}.", work=f"trade {number}") for number in range(12)]
    users = [f"user {number % 3}" for number in range(12)]

    def drawn(left_out: str) -> PrivateCounts:
        kept = [number for number, user in enumerate(users) if user != left_out]
        return PrivateCounts.of(
            [tasks[number] for number in kept],
            [STYLES[number % 4] for number in kept],
            [users[number] for number in kept],
            encoder=ENCODER,
            regions=regions,
            styles=STYLES,
            epsilon=0.3,
            per_user=per_user,
            seed=7,  # the same noise, so that what is left of the difference is the users'
        )

    whole = drawn("nobody").counts
    for user in set(users):
        assert np.abs(whole - drawn(user).counts).sum() == per_user


def test_bad_arguments_of_counts_are_named() -> None:
    regions = hyperplanes(2, encoder=ENCODER)
    with pytest.raises(InvalidInput, match="epsilon"):
        counts(epsilon=0.0)
    with pytest.raises(InvalidInput, match="epsilon 1e-320"):
        counts(epsilon=1e-320)
    with pytest.raises(InvalidInput, match="none of the styles"):
        PrivateCounts.of(TASKS, BEST, ["a"] * 3, encoder=ENCODER, regions=regions, styles=("directive",), epsilon=1.0)
    with pytest.raises(InvalidInput, match="users"):
        PrivateCounts.of(TASKS, BEST, ["a"], encoder=ENCODER, regions=regions, styles=STYLES, epsilon=1.0)
    with pytest.raises(InvalidInput, match="planes"):
        hyperplanes(40, encoder=ENCODER)
    with pytest.raises(InvalidInput, match="clusters"):
        centroids(["x"], 2, encoder=ENCODER)
