"""Loading a data set by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memagent.errors import InvalidInput, UnknownName
from memagent.evals.datasets.cases import Dataset
from memagent.evals.datasets.demo import load_demo
from memagent.evals.datasets.locomo import CATEGORIES, MAIN_CATEGORIES, load_locomo
from memagent.evals.datasets.longmemeval import load_longmemeval
from memagent.evals.datasets.personabench import load_personabench
from memagent.evals.datasets.personamem import load_personamem
from memagent.files import as_path

TEXT_FORMS: dict[str, tuple[str, ...]] = {
    "longmemeval": ("both_roles", "user_turns_only"),
    "locomo": ("both_roles",),
    "personabench": ("both_roles",),
    "personamem": ("both_roles",),
    "demo": ("both_roles",),
}
"""For each data set, the forms of its text that can be stored."""

DATASETS = tuple(TEXT_FORMS)


def load_dataset(
    name: str,
    data: Sequence[str | Path] = (),
    *,
    text: str = "both_roles",
    categories: Sequence[int] = MAIN_CATEGORIES,
    noise: str = "0.0",
) -> Dataset:
    """The data set called ``name``, read from the files (PersonaBench: the one folder) in ``data``.

    ``categories`` is for LoCoMo, ``noise`` for PersonaBench. Raises :class:`UnknownName` with the valid
    names, :class:`InvalidInput` when ``data`` does not fit, :class:`DataError` for what is in the files.
    """
    if name not in TEXT_FORMS:
        raise UnknownName(f"unknown data set {name!r}", hint=f"use one of {', '.join(DATASETS)}")
    if text not in TEXT_FORMS[name]:
        valid = ", ".join(TEXT_FORMS[name])
        raise UnknownName(f"{name} cannot be stored in the text form {text!r}", hint=f"use one of {valid}")
    if name == "demo":
        return load_demo()
    if not data:
        raise InvalidInput(f"the data set {name} needs its files", hint="pass --data")
    paths = [as_path(path, "a data file") for path in data]
    if name == "personabench":
        if len(paths) > 1:
            raise InvalidInput("personabench is one folder", hint="pass --data once, with the community's folder")
        return load_personabench(paths[0], noise=noise)
    if name == "locomo":
        return load_locomo(paths, categories=_checked(categories))
    if name == "personamem":
        return load_personamem(paths)
    return load_longmemeval(paths, text=text)


def _checked(categories: Sequence[int]) -> tuple[int, ...]:
    unknown = [number for number in categories if number not in CATEGORIES]
    if unknown or not categories:
        valid = ", ".join(f"{number} ({name})" for number, name in CATEGORIES.items())
        raise UnknownName(f"unknown LoCoMo categories {unknown or 'none given'}", hint=f"use some of {valid}")
    return tuple(dict.fromkeys(categories))
