from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memagent.agents.ab.arms import torch_training
from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.registry import KINDS, recipe_of
from memagent.agents.ab.arms.reversed_pages import ReversedPages
from memagent.agents.ab.arms.scoring import Training, best
from memagent.agents.ab.factors import latent_factors
from memagent.agents.ab.offline import evaluate, kendall_tau, ranking_scores
from memagent.agents.ab.ratings import Dataset, Split, split
from memagent.agents.ab.synthetic import synthetic
from memagent.errors import InvalidInput, StoreCorrupt, UnknownName

SMALL: dict[str, dict[str, Any]] = {
    "random": {},
    "popularity": {},
    "item-knn": {"neighbours": 20},
    "svd": {"factors": 8},
    "mf": {"factors": 8, "iterations": 3},
    "fm": {"factors": 8, "epochs": 4, "batch": 512, "learning_rate": 0.02},
    "deepfm": {"factors": 8, "layers": [8], "epochs": 4, "batch": 512, "learning_rate": 0.02},
    "sasrec": {"factors": 16, "blocks": 1, "epochs": 5, "batch": 32, "length": 20, "learning_rate": 0.01},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other on two."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arms")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic(users=120, items=120, seed=3)


@pytest.fixture(scope="module")
def parts(data: Dataset) -> Split:
    return split(data.ratings)


@pytest.fixture(scope="module")
def training(data: Dataset, parts: Split) -> Training:
    return Training(dataset=data, ratings=parts.train)


@pytest.mark.parametrize("kind", KINDS)
def test_an_arm_recommends_different_known_items_the_same_each_time_and_from_the_cache(
    kind: str, training: Training, cache: Path
) -> None:
    recipe = recipe_of(kind, SMALL[kind])
    first = trained(recipe, training, cache=cache)
    files = {path: path.stat().st_mtime_ns for path in cache.glob(f"{kind}-*")}
    assert len(files) == 1
    again = trained(recipe, training, cache=cache)
    assert {path: path.stat().st_mtime_ns for path in cache.glob(f"{kind}-*")} == files
    hidden = training.dataset.catalogue.ids[:60]
    for user in ("u0", "u7", "stranger"):
        found = first.recommend(user, 20, hidden)
        assert len(set(found)) == 20
        assert not set(found) & set(hidden)
        assert found == again.recommend(user, 20, hidden)
    assert len(first.recommend("u0", 500, hidden)) == 60
    assert first.cold_users == (0 if kind == "random" else 1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "random"])
def test_an_arm_that_learned_beats_chance(
    kind: str, training: Training, data: Dataset, parts: Split, cache: Path
) -> None:
    known = data.items_of(parts.train)
    least = evaluate(trained(recipe_of("random"), training), data, parts.validation, known=known).ndcg.mean()
    found = evaluate(trained(recipe_of(kind, SMALL[kind]), training, cache=cache), data, parts.validation, known=known)
    assert found.ndcg.mean() > 1.5 * least
    assert found.faults == 0


def test_training_goes_on_from_a_checkpoint_and_ends_where_it_would_have(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of("deepfm", {**SMALL["deepfm"], "epochs": 2})
    whole = recipe.fit(training, seed=5)
    place = tmp_path / "deepfm.checkpoint"

    def killed(path: Path, **_: Any) -> Any:
        raise KeyboardInterrupt

    recipe_of("deepfm", {**SMALL["deepfm"], "epochs": 1}).fit(training, seed=5, checkpoint=place)
    resumed = recipe.fit(training, seed=5, checkpoint=place)
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    monkeypatch.setattr(torch_training, "replacing", killed)
    with pytest.raises(KeyboardInterrupt):
        recipe.fit(training, seed=5, checkpoint=tmp_path / "other")
    place.write_bytes(b"torn")
    with pytest.raises(StoreCorrupt, match="delete it"):
        recipe.fit(training, seed=5, checkpoint=place)


def test_a_damaged_file_in_the_cache_is_named(training: Training, tmp_path: Path) -> None:
    trained(recipe_of("popularity"), training, cache=tmp_path)
    next(tmp_path.iterdir()).write_bytes(b"torn")
    with pytest.raises(StoreCorrupt, match="popularity"):
        trained(recipe_of("popularity"), training, cache=tmp_path)


def test_a_sequential_arm_needs_times(data: Dataset, parts: Split) -> None:
    timeless = type(parts.train)(users=parts.train.users, items=parts.train.items, ratings=parts.train.ratings)
    with pytest.raises(InvalidInput, match="no times"):
        trained(recipe_of("sasrec"), Training(dataset=data, ratings=timeless))


def test_a_transformer_sees_nothing_of_what_comes_later() -> None:
    import torch

    from memagent.agents.ab.arms.sasrec_model import Transformer

    torch.manual_seed(0)
    model = Transformer(items=9, factors=8, blocks=2, heads=2, length=6, dropout=0.0).eval()
    one, other = torch.tensor([[0, 0, 1, 2, 3, 4]]), torch.tensor([[0, 0, 1, 2, 9, 8]])
    with torch.inference_mode():
        assert torch.allclose(model(one)[0, :4], model(other)[0, :4])
        assert not torch.allclose(model(one)[0, 4], model(other)[0, 4])


def test_a_factorisation_machine_scores_as_its_formula_says(training: Training) -> None:
    import torch

    from memagent.agents.ab.arms.fields import fields_of
    from memagent.agents.ab.arms.machine_model import Machine

    fields = fields_of(training, "all")
    torch.manual_seed(0)
    model = Machine(fields, factors=4, layers=(), dropout=0.0).eval()
    torch.nn.init.normal_(model.weight.weight)
    with torch.inference_mode():
        said = float(model(torch.tensor([3]), torch.tensor([[5]]))[0, 0])
        table, weight = model.embedding.weight.numpy(), model.weight.weight.numpy()[:, 0]
    genres = [code for code in fields.genres[5].tolist() if code != fields.size]
    codes = [*fields.users[3].tolist(), *fields.items[5].tolist()]
    vectors = [table[code] for code in codes] + [table[genres].mean(axis=0)]
    pairs = sum(float(a @ b) for i, a in enumerate(vectors) for b in vectors[i + 1 :])
    assert said == pytest.approx(weight[codes].sum() + weight[genres].mean() + pairs, rel=1e-4)


def test_features_can_be_left_out(training: Training) -> None:
    for features in ("user", "item"):
        arm = trained(recipe_of("fm", {**SMALL["fm"], "features": features, "epochs": 1}), training)
        assert len(arm.recommend("u0", 5, ())) == 5


def test_latent_factors_do_not_depend_on_anything_but_their_seed(data: Dataset) -> None:
    made = [latent_factors(data.ratings, 120, 120, factors=6, seed=1) for _ in range(2)]
    assert all(np.array_equal(one, other) for one, other in zip(*made, strict=True))


def test_the_best_are_those_of_a_stable_sort() -> None:
    scores = np.array([1.0, 3.0, 3.0, -np.inf, 2.0, 3.0])
    for k in range(8):
        assert best(scores, k).tolist() == [1, 2, 5, 4, 0, 3][:k]


def test_recall_and_ndcg_by_hand() -> None:
    recall, ndcg = ranking_scores(["a", "x", "b"], {"a", "b", "c"}, 3)
    assert recall == pytest.approx(2 / 3)
    assert ndcg == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3) + 0.5))


def test_kendalls_tau_agrees_with_scipy() -> None:
    from scipy.stats import kendalltau

    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = random.integers(0, 4, size=(2, 7)).tolist()
        assert kendall_tau(a, b) == pytest.approx(kendalltau(a, b).statistic, nan_ok=True)


def test_reversed_pages_keep_the_items_of_every_page(training: Training) -> None:
    arm = trained(recipe_of("popularity"), training)
    normal, turned = arm.recommend("u0", 10, ()), ReversedPages(arm, 4).recommend("u0", 10, ())
    assert turned == normal[3::-1] + normal[7:3:-1] + normal[:7:-1]


def test_an_unknown_arm_or_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="item-knn"):
        recipe_of("knn")
    with pytest.raises(UnknownName, match="neighbours, shrinkage"):
        recipe_of("item-knn", {"k": 3})
    with pytest.raises(InvalidInput, match="give a int"):
        recipe_of("item-knn", {"neighbours": "many"})
