"""A data set of any domain from tables: items and ratings as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.catalogue import Catalogue, Item
from memagent.agents.ab.movielens import assembled, unpacked
from memagent.agents.ab.ratings import Dataset
from memagent.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from os import PathLike

_ITEM = ("id", "title", "genres", "rating", "votes", "overview", "poster")


def load_tables(
    *, items: str | PathLike[str], ratings: str | PathLike[str], users: str | PathLike[str] | None = None
) -> Dataset:
    """A data set from files: ``.parquet``, or CSV with a header (``.gz`` too).

    ``items`` has columns id and title, and may have genres (separated by ``|``), rating, votes, overview, poster;
    further columns (cast, director, price ...) are shown on the item's page, lists with commas. ``poster`` is a path,
    relative to the folder that posters are read from, or an address. ``ratings`` has user, item, rating (1 to 5) and
    may have time (whole seconds). ``users`` has id; its other columns are the profile. Raises DataError, naming file
    and line, for what cannot be read, and MissingExtra for Parquet without pyarrow.
    """
    catalogue = load_catalogue(items)
    rows = _rows(Path(ratings), ("user", "item", "rating"))
    timed = _timed(rows, Path(ratings))
    columns = (
        [str(row["user"]) for row in rows],
        [str(row["item"]) for row in rows],
        [_number(row, "rating", Path(ratings), i) for i, row in enumerate(rows, start=2)],
        [_whole(row, "time", Path(ratings), i) for i, row in enumerate(rows, start=2)] if timed else None,
    )
    profiles = {
        str(row["id"]): {name: str(value) for name, value in row.items() if name != "id" and value not in (None, "")}
        for row in (_rows(Path(users), ("id",)) if users else [])
    }
    return assembled(Path(ratings).name.split(".")[0], catalogue.items, columns, profiles)


def load_catalogue(path: str | PathLike[str]) -> Catalogue:
    """The items of a table alone; see :func:`load_tables`."""
    file = Path(path)
    return Catalogue(_item(row, file, i) for i, row in enumerate(_rows(file, ("id", "title")), start=2))


def _item(row: Mapping[str, Any], path: Path, line: int) -> Item:
    def given(name: str) -> bool:
        value = row.get(name)
        return value not in (None, "", []) and not (isinstance(value, float) and math.isnan(value))

    genres = row.get("genres") or ""
    listed = genres.split("|") if isinstance(genres, str) else [str(genre) for genre in genres]
    return Item(
        id=str(row["id"]),
        title=str(row["title"]),
        genres=tuple(genre.strip() for genre in listed if genre.strip()),
        rating=_number(row, "rating", path, line) if given("rating") else None,
        votes=_whole(row, "votes", path, line) if given("votes") else 0,
        overview=str(row["overview"]) if given("overview") else "",
        poster=str(row["poster"]) if given("poster") else None,
        details={name: _shown(value) for name, value in row.items() if name not in _ITEM and given(name)},
    )


def _timed(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Whether ratings have times: all of them, or none."""
    without = [line for line, row in enumerate(rows, start=2) if row.get("time") in (None, "")]
    if without and len(without) < len(rows):
        raise DataError(f"{path.name}, line {without[0]}: no time, but others have one", hint="give all or none")
    return not without and bool(rows)


def _number(row: Mapping[str, Any], column: str, path: Path, line: int) -> float:
    try:
        number = float(row[column])
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path.name}, line {line}: {column} is {row[column]!r}", hint="give a number")
    return number


def _whole(row: Mapping[str, Any], column: str, path: Path, line: int) -> int:
    return int(_number(row, column, path, line))


def _shown(value: Any) -> str:
    """A cell as pages show it; a list, as Parquet may hold, with commas."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _rows(path: Path, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"there is no file {path}", hint="give a CSV or Parquet file")
    rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    absent = [name for name in needed if rows and name not in rows[0]]
    if absent:
        raise DataError(f"{path.name} has no column {', '.join(absent)}", hint=f"it has {', '.join(rows[0])}")
    for line, row in enumerate(rows, start=2):
        if any(row[name] in (None, "") for name in needed):
            raise DataError(f"{path.name}, line {line}: something is missing", hint=f"give {', '.join(needed)}")
    return rows


def _csv(path: Path) -> list[dict[str, Any]]:
    try:
        lines = io.StringIO(unpacked(path).decode("utf-8-sig"), newline="")
        rows: list[dict[str, Any]] = list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} is no CSV in UTF-8: {error}", hint="write it as UTF-8") from error
    ragged = next((i for i, row in enumerate(rows, start=2) if None in row), None)
    if ragged:
        raise DataError(f"{path.name}, line {ragged}: more fields than the header", hint="quote fields with commas")
    return rows


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("Parquet needs pyarrow", hint="pip install 'memagent[sim]'") from error
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is no Parquet file: {error}", hint="write it again") from error
    return rows
