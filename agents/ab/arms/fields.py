"""The features that factorisation machines see: fields of a user and of an item, as codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from memagent.agents.ab.arms.scoring import Training

if TYPE_CHECKING:
    from numpy.typing import NDArray

Features = Literal["all", "user", "item"]
PROFILE = ("gender", "age", "occupation")
_DECADE = 10


class Fields(NamedTuple):
    """Codes into one table of ``size`` features.

    ``users`` (users, fields): id, and profile; ``items`` (items, fields): id; ``genres`` (items, most genres of an
    item), filled up with the code ``size``, which stands for nothing: genres are one field, the mean of theirs.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    genres: NDArray[np.int64]
    size: int


def fields_of(training: Training, features: Features) -> Fields:
    """The fields; "user" and "item" leave out the other's id and what describes it (the paper's feature ablation)."""
    dataset = training.dataset
    next_code = 0

    def coded(values: list[str]) -> NDArray[np.int64]:
        nonlocal next_code
        codes = {value: next_code + place for place, value in enumerate(sorted(set(values)))}
        next_code += len(codes)
        return np.asarray([codes[value] for value in values], dtype=np.int64)

    user_columns, item_columns = [], []
    if features != "item":
        user_columns.append(coded(list(dataset.user_ids)))
        for name in PROFILE:
            told = [dataset.profiles.get(user, {}).get(name, "") for user in dataset.user_ids]
            user_columns.append(coded([_decade(value) if name == "age" else value for value in told]))
    genres: list[list[int]] = [[] for _ in dataset.catalogue.items]
    if features != "user":
        item_columns.append(coded(list(dataset.catalogue.ids)))
        of_genre = {genre: next_code + place for place, genre in enumerate(dataset.catalogue.genres)}
        next_code += len(of_genre)
        genres = [[of_genre[genre] for genre in item.genres] for item in dataset.catalogue.items]
    most = max(1, *(len(codes) for codes in genres))
    filled = np.full((training.items, most), next_code, dtype=np.int64)
    for row, codes in enumerate(genres):
        filled[row, : len(codes)] = codes
    return Fields(
        users=_columns(user_columns, training.users),
        items=_columns(item_columns, training.items),
        genres=filled,
        size=next_code,
    )


def _columns(columns: list[NDArray[np.int64]], rows: int) -> NDArray[np.int64]:
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0), dtype=np.int64)


def _decade(age: str) -> str:
    return str(int(age) // _DECADE) if age.isdecimal() else age
