"""The report: one file that needs nothing else, well formed, with all its figures."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import combinations

import pytest
from demo_runs import made
from hypothesis import given
from hypothesis import strategies as st

from memagent.evals.demo import timeline
from memagent.evals.demo.asking import RETRIEVERS, TopScore, separation
from memagent.evals.demo.drawing import as_svg, canvas, spread
from memagent.evals.demo.findings import clip
from memagent.evals.rows import QuestionRow

VOID = {"meta", "br", "img", "link", "input", "hr", "col", "wbr", "source"}


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    parsed = Page()
    parsed.feed(made().page)
    parsed.close()
    return parsed


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.open == []
    assert made().page.startswith("<!doctype html>")


def test_the_page_loads_nothing(page: Page) -> None:
    assert "://" not in made().page
    assert "@import" not in made().page
    assert not {"script", "link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def test_every_figure_is_there_and_says_what_it_shows(page: Page) -> None:
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    labels = [attributes["aria-label"] or "" for attributes in figures]
    assert len(set(labels)) == 6  # the timeline is drawn twice, for wide and narrow windows
    for what in (
        "by question kind",
        "retriever by user",
        "encoding times",
        "stored units",
        "unanswerable",
        "over the year",
    ):
        assert sum(what in label for label in labels) == (2 if what == "over the year" else 1), what


def test_ids_are_unique_and_every_reference_resolves(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', made().page)) <= set(ids)


def test_every_colour_is_a_variable_that_light_and_dark_mode_set() -> None:
    style = made().page[: made().page.index("</style>")]
    light, dark = style.split("@media (prefers-color-scheme: dark)")[:2]
    used = set(re.findall(r"var\((--[\w-]+)\)", made().page))
    assert used <= set(re.findall(r"(--[\w-]+):", light))
    assert used - {"--font", "--mono"} <= set(re.findall(r"(--[\w-]+):", dark))
    assert not re.search(r"#0101[0-9a-f]{2}", made().page)


def test_every_question_answer_and_retriever_is_on_the_page(page: Page) -> None:
    text = " ".join("".join(page.text).split())
    for question in made().demo.dataset.questions:
        assert " ".join(question.text.split()) in text
        assert " ".join(question.answer.split()) in text
    for name in RETRIEVERS:
        assert name in text
    assert "Markup(" not in text


def test_figures_in_the_result_file_are_those_of_the_page(page: Page) -> None:
    result = json.loads((made().folder / "result.json").read_text(encoding="utf-8"))
    text = "".join(page.text)
    for row in result["rows"]:
        assert f"{row['metrics']['recall_all@5']['mean'] * 100:.1f}" in text
    lines = (made().folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [QuestionRow.of_json(line) for line in lines]
    assert len(rows) == len(made().demo.run.questions) * len(RETRIEVERS)


def test_questions_without_an_answer_are_shown_apart_and_not_counted() -> None:
    demo = made().demo
    assert len(demo.unanswerable) == 6
    assert demo.result["dataset"]["left_out"] == {"abstention": 6}
    assert not {row.question_id for row in demo.run.rows} & {question.id for question in demo.unanswerable}
    assert {score.question_id for score in demo.scores if not score.answerable} == {q.id for q in demo.unanswerable}


def test_text_with_markup_in_it_is_shown_as_text() -> None:
    with canvas(100, 100) as figure:
        figure.text(0, 0, "<b> & $x_1$")
        svg = as_svg(figure, "escaped", 'a "name" <b> & more')
    parsed = Page()
    parsed.feed(svg)
    assert "<b> & $x_1$" in "".join(parsed.text)
    assert parsed.elements[0][1]["aria-label"] == 'a "name" <b> & more'
    assert "b" not in {tag for tag, _ in parsed.elements}


@given(st.lists(st.floats(0, 100, allow_nan=False), max_size=40), st.floats(0.1, 10))
def test_dots_do_not_cover_each_other(values: list[float], gap: float) -> None:
    placed = list(zip(sorted(values), spread(sorted(values), gap), strict=True))
    assert not any(abs(a[0] - b[0]) < gap and a[1] == b[1] for a, b in combinations(placed, 2))


@given(st.lists(st.integers(0, 364), min_size=1, max_size=24, unique=True))
def test_labels_of_the_timeline_do_not_cover_each_other_while_there_is_room(days: list[int]) -> None:
    ordered = [float(day) for day in sorted(days)]
    widths = [12.0] * len(ordered)
    rows = timeline.label_rows(ordered, widths, -16.0, 382.0)
    for (centre, row), (other, same) in combinations(rows, 2):
        crowded = any(sum(abs(a - b) < 36 for b in ordered) > 6 for a in ordered)
        assert crowded or row != same or abs(centre - other) >= 12.0


def test_separation_is_the_share_of_pairs_in_order() -> None:
    def scores(answerable: bool, *values: float) -> list[TopScore]:
        return [TopScore(retriever="dense", question_id="q", answerable=answerable, score=v) for v in values]

    assert separation([*scores(True, 3.0, 4.0), *scores(False, 1.0, 2.0)], "dense") == 1.0
    assert separation([*scores(True, 1.0), *scores(False, 1.0)], "dense") == 0.5
    assert separation([*scores(True, 1.0, 3.0), *scores(False, 2.0)], "dense") == 0.5


@pytest.mark.parametrize(
    ("text", "shown"), [("short", "short"), ("one two three", "one two …"), ("one two, three", "one two …")]
)
def test_long_texts_are_cut_between_words(text: str, shown: str) -> None:
    assert clip(text, 11) == shown
