"""Who the users of the bundled histories are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from memagent.evals.datasets.open_data import parse_data

LANGUAGES = {"en": "English", "es": "Spanish"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the bundled histories: id, name, language in words, and a phrase that goes on from the name."""

    user_id: str
    name: str
    language: str
    about: str


def people() -> dict[str, Person]:
    """The users of the bundled histories by id; raises :class:`DataError` where a field is missing."""
    folder = files("memagent").joinpath("data", "demo")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".json"):
            continue
        for record in parse_data(entry.read_bytes(), entry.name).records:
            language = record.field("language").text()
            name = record.field("name").text()
            person = Person(
                user_id=record.field("user_id").text(),
                name=name,
                language=LANGUAGES.get(language, language),
                about=record.field("about").text().removeprefix(f"{name}, "),
            )
            found[person.user_id] = person
    return found
