"""The Open Bandit data set (Saito et al., 2021): a fashion shop's log of two recommenders that ran side by side."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from memagent.agents.ab.bandit.log import BanditLog
from memagent.errors import DataError

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

Behaviour = Literal["random", "bts"]
"""Who showed: every item as often, or Bernoulli Thompson sampling."""

_COLUMNS = ("item_id", "position", "click", "propensity_score")
_USER = "user_feature_"


def load_open_bandit(folder: str | PathLike[str], *, behaviour: Behaviour, campaign: str) -> BanditLog:
    """The log ``folder/behaviour/campaign/campaign.csv`` (or ``.csv.gz``), items from ``item_context.csv`` beside it.

    Positions count from 0, left to right. Contexts are the user's features, one column (0 or 1) for each value that is
    not the first of its feature. Raises DataError, naming file and line, for what cannot be read.
    """
    root = Path(folder) / behaviour / campaign
    items = [row["item_id"] for _, row in _rows(root, "item_context.csv", ("item_id",))]
    code_of = {item: code for code, item in enumerate(items)}
    features: list[list[str]] = []
    numbers: list[tuple[int, int, float, float]] = []
    for line, row in _rows(root, f"{campaign}.csv", _COLUMNS):
        try:
            position, click, chance = int(row["position"]), float(row["click"]), float(row["propensity_score"])
            numbers.append((code_of[row["item_id"]], position, click, chance))
        except (ValueError, KeyError) as error:
            raise DataError(f"{campaign}.csv, line {line}: {error} cannot be used", hint="mend the line") from None
        features.append([value for name, value in row.items() if name.startswith(_USER)])
    if not numbers:
        raise DataError(f"{campaign}.csv in {root} has no rows", hint="give the data set's own files")
    actions, positions, clicks, chances = (np.asarray(column) for column in zip(*numbers, strict=True))
    return BanditLog(
        name=f"{campaign}, {behaviour}",
        action_ids=tuple(items),
        actions=actions.astype(np.int64),
        positions=positions.astype(np.int64) - int(positions.min()),
        rewards=clicks.astype(np.float64),
        propensities=chances.astype(np.float64),
        contexts=_one_hot(features),
    )


def _one_hot(features: list[list[str]]) -> NDArray[np.float64]:
    columns = []
    for values in zip(*features, strict=True):
        told = np.asarray(values)
        columns += [(told == value).astype(np.float64) for value in sorted(set(values))[1:]]
    return np.stack(columns, axis=1) if columns else np.empty((len(features), 0))


def _rows(root: Path, name: str, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    path = next((path for path in (root / name, root / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise DataError(f"no {name} (or {name}.gz) in {root}", hint="give the folder with random/ and bts/")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
        rows = list(enumerate(reader, start=2))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", hint="give the data set's own files") from error
    absent = [column for column in needed if column not in (reader.fieldnames or ())]
    if absent:
        raise DataError(f"{path.name} has no column {', '.join(absent)}", hint="give the data set's own files")
    short = next((line for line, row in rows if None in row or None in row.values()), None)
    if short:
        raise DataError(f"{path.name}, line {short}: not one value for each column", hint="mend the line")
    return rows
