"""MovieLens-100K and MovieLens-1M, from their own files, plain or with .gz."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.catalogue import Catalogue, Item
from memagent.agents.ab.ratings import Dataset, Ratings
from memagent.errors import DataError

if TYPE_CHECKING:
    from os import PathLike

OCCUPATIONS_1M = (
    "other", "academic or educator", "artist", "clerical or administration", "college or graduate student",
    "customer service", "doctor or health care", "executive or managerial", "farmer", "homemaker", "school student",
    "lawyer", "programmer", "retired", "sales or marketing", "scientist", "self-employed", "technician or engineer",
    "tradesman or craftsman", "unemployed", "writer",
)  # fmt: skip
"""What the numbers in ``users.dat`` stand for."""

_EARLIEST, _LATEST = -62_135_596_800, 221_845_391_999
"""Seconds of 1970's epoch at which the years 1 to 8999 begin and end: dates can say them, and go on from there."""
_NOTHING = ("", "N/A")
_PLOT_COLUMNS = 10
"""movies_extrainfos.dat: id, title, year, rated, released, genres, directors, writers, cast, plot, poster."""


def load_movielens_100k(folder: str | PathLike[str]) -> Dataset:
    """MovieLens-100K: ``u.data``, ``u.item``, ``u.genre``, ``u.user``; ``poster_urls.csv`` if there.

    Raises DataError, naming file and line, for a missing file or a line that cannot be read.
    """
    root = Path(folder)
    names = [fields[0] for _, fields in _lines(root, "u.genre", "|") if fields[0]]
    posters = {fields[0]: fields[1] for _, fields in _lines(root, "poster_urls.csv", ",", needed=False)}
    items = []
    for line, fields in _lines(root, "u.item", "|"):
        flags = fields[5:]
        if len(flags) != len(names):
            raise DataError(f"u.item, line {line}: {len(flags)} genre flags", hint=f"u.genre has {len(names)} genres")
        genres = tuple(name for name, flag in zip(names, flags, strict=True) if flag == "1" and name != "unknown")
        details = {"released": fields[2]} if fields[2] else {}
        items.append(Item(id=fields[0], title=fields[1], genres=genres, poster=posters.get(fields[0]), details=details))
    profiles = {
        fields[0]: {"age": fields[1], "gender": fields[2], "occupation": fields[3]}
        for _, fields in _lines(root, "u.user", "|", columns=4)
    }
    rows = _numbers(root, "u.data", "\t", 4)
    return assembled("ml-100k", items, rows, profiles)


def load_movielens_1m(folder: str | PathLike[str]) -> Dataset:
    """MovieLens-1M: ``movies.dat``, ``users.dat``, and ``ratings.dat`` or ``ratings.csv`` (no times in that one).

    Plots, directors, cast and poster addresses come from ``movies_extrainfos.dat`` if there. Raises DataError, naming
    file and line, for a missing file or a line that cannot be read.
    """
    root = Path(folder)
    extra = {fields[0]: fields for _, fields in _lines(root, "movies_extrainfos.dat", "::", needed=False)}
    items = []
    for _, fields in _lines(root, "movies.dat", "::", columns=3):
        more = extra.get(fields[0], [])
        told = dict(zip(("released", "directors", "cast"), more[4:9:2], strict=True)) if _full(more) else {}
        items.append(
            Item(
                id=fields[0],
                title=fields[1],
                genres=tuple(genre for genre in fields[2].split("|") if genre),
                overview=more[9] if _full(more) and more[9] not in _NOTHING else "",
                poster=more[10] if len(more) > _PLOT_COLUMNS and more[10].startswith("http") else None,
                details={name: value for name, value in told.items() if value not in _NOTHING},
            )
        )
    profiles = {
        fields[0]: {"gender": fields[1], "age": fields[2], "occupation": _occupation(fields[3], line)}
        for line, fields in _lines(root, "users.dat", "::", columns=4)
    }
    with_times = _found(root, "ratings.dat") is not None
    rows = _numbers(root, "ratings.dat", "::", 4) if with_times else _numbers(root, "ratings.csv", ",", 3, skip=1)
    return assembled("ml-1m", items, rows, profiles)


def assembled(
    name: str,
    items: Sequence[Item],
    rows: tuple[Sequence[str], Sequence[str], Sequence[float], Sequence[int] | None],
    profiles: dict[str, dict[str, str]],
) -> Dataset:
    """A data set from its rows (user ids, item ids, ratings, times); items get the mean of their ratings.

    Raises DataError for a rating of an item that is not in the catalogue, or outside of 1 to 5, and for a time that is
    in none of the years 1 to 8999.
    """
    users, rated, ratings, times = rows
    catalogue = Catalogue(items)
    user_ids = tuple(dict.fromkeys(users))
    code_of = {user: code for code, user in enumerate(user_ids)}
    missing = sorted({item for item in set(rated) if item not in catalogue})
    if missing:
        raise DataError(f"{name}: {len(missing)} rated items are not in the catalogue, {missing[0]!r} for one",
                        hint="add them to the items")  # fmt: skip
    values = np.asarray(ratings, dtype=np.float64)
    if len(values) and not (np.isfinite(values).all() and values.min() >= 1 and values.max() <= 5):
        raise DataError(f"{name}: ratings from {values.min():g} to {values.max():g}", hint="scale them to 1 to 5")
    if times and (min(times) < _EARLIEST or max(times) > _LATEST):
        raise DataError(f"{name}: times from {min(times)} to {max(times)}", hint="give seconds, not milliseconds")
    codes = np.asarray([catalogue.code(item) for item in rated], dtype=np.int64)
    found = Ratings(
        users=np.asarray([code_of[user] for user in users], dtype=np.int64),
        items=codes,
        ratings=values,
        times=None if times is None else np.asarray(times, dtype=np.int64),
    )
    counted = frozenset(item.id for item in catalogue.items if item.rating is None)
    made = Dataset(name=name, catalogue=catalogue, user_ids=user_ids, ratings=found, profiles=profiles, counted=counted)
    return replace(made, catalogue=made.catalogue_by(found))


def _occupation(number: str, line: int) -> str:
    if not number.isdecimal() or int(number) >= len(OCCUPATIONS_1M):
        raise DataError(f"users.dat, line {line}: occupation {number!r}", hint=f"0 to {len(OCCUPATIONS_1M) - 1}")
    return OCCUPATIONS_1M[int(number)]


def _full(fields: Sequence[str]) -> bool:
    return len(fields) >= _PLOT_COLUMNS


def _found(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / f"{name}.gz") if path.is_file()), None)


def _text(path: Path) -> str:
    """The file's text.

    UTF-16 where it begins with its byte order mark, UTF-8 where it is that, else Latin-1, as GroupLens wrote it: text
    in Latin-1 with anything beyond ASCII in it is not UTF-8, but for the rarest accidents.
    """
    data = unpacked(path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(f"{path.name} is cut off: {error}", hint="fetch it again") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def unpacked(path: Path) -> bytes:
    """The file's bytes, of a ``.gz`` what is in it; raises DataError for one that is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error}", hint="check the file and its permissions") from error
    try:
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is no whole gzip file: {error}", hint="fetch it again") from error


def _lines(
    root: Path, name: str, separator: str, *, columns: int = 2, skip: int = 0, needed: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """The number and the fields of each line; empty lines are passed over."""
    path = _found(root, name)
    if path is None:
        if needed:
            raise DataError(f"no {name} (or {name}.gz) in {root}", hint="give the folder with the data set's own files")
        return
    lines = [line.removesuffix("\r") for line in _text(path).split("\n")]  # splitlines also breaks at other marks
    split = _quoted(path, lines) if separator == "," else (line.split(separator) for line in lines)
    for number, fields in enumerate(split, start=1):
        if number > skip and fields and fields != [""]:
            if len(fields) < columns:
                raise DataError(f"{path.name}, line {number}: {len(fields)} fields", hint=f"{columns} are needed")
            yield number, fields


def _quoted(path: Path, lines: Sequence[str]) -> Iterator[list[str]]:
    reader = csv.reader(lines)
    try:
        yield from reader
    except csv.Error as error:  # a quotation mark that is never closed swallows all lines after it
        raise DataError(f"{path.name}, line {reader.line_num}: {error}", hint="close the quotation marks") from error


def _numbers(
    root: Path, name: str, separator: str, columns: int, *, skip: int = 0
) -> tuple[list[str], list[str], list[float], list[int] | None]:
    """The columns user, item, rating and, if there are four, time."""
    users, items, ratings, times = [], [], [], []
    for number, fields in _lines(root, name, separator, columns=columns, skip=skip):
        try:
            rating, time = float(fields[2]), int(fields[3]) if columns == 4 else 0
        except ValueError:
            raise DataError(f"{name}, line {number}: {fields[2:]} are no numbers", hint="mend the line") from None
        users.append(fields[0])
        items.append(fields[1])
        ratings.append(rating)
        times.append(time)
    return users, items, ratings, times if columns == 4 else None
