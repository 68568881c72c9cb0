from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eval_examples import finished_run
from rich.console import Console

from memagent.errors import InvalidInput, UnknownName
from memagent.evals.ablation import Resolved, build_ablation, resolve, write_ablation
from memagent.evals.ablation_plans import PLANS, Plan, Variant, named, plan_of, sweep
from memagent.evals.ablation_plots import DIFFERENCES, draw
from memagent.evals.ablation_table import markdown_page, show
from memagent.evals.measuring import Measured
from memagent.retrievers import parameters

ENCODER = {"name": "test-encoder", "fingerprint": "f", "dim": 8, "max_tokens": None, "long_text": "windows"}
PLAN = Plan(
    method="hybrid",
    baseline="dense[by=session]",
    groups=(
        named(
            "Channels",
            (("whole", "hybrid"), ("without vectors", "hybrid[dense=0]"), ("vectors alone", "dense[by=session]")),
            about="What each is worth.",
        ),
        sweep("Weight of vectors", "hybrid", "dense", (1, 2, 4)),
    ),
)


def result(plan: Plan = PLAN, **signals: Any) -> dict[str, Any]:
    resolved = resolve(plan)
    run = finished_run(*(spec.label for spec in resolved.specs))
    rows = tuple(replace(row, signals=signals) if row.retriever == "hybrid" else row for row in run.rows)
    return built(replace(run, rows=rows), plan, resolved)


def built(run: Any, plan: Plan, resolved: Resolved) -> dict[str, Any]:
    measured = Measured(run=run, encoder=ENCODER, encode_ms=1.0)
    return build_ablation(measured, plan, resolved, command=["memagent"], seed=3, resamples=50)


def test_a_sweep_names_each_value_and_keeps_the_fixed_parameters() -> None:
    group = sweep("Alpha", "rf-mem", "alpha", (0.1, 1.0), fixed="path=recollection")
    assert group.variants == (
        Variant(spec="rf-mem[alpha=0.1,path=recollection]", name="alpha = 0.1", value=0.1),
        Variant(spec="rf-mem[alpha=1,path=recollection]", name="alpha = 1", value=1.0),
    )
    assert (group.parameter, group.plot) == ("alpha", "alpha.png")
    assert named("Parts", (("all", "memgas"),)).plot is None


@pytest.mark.parametrize("method", PLANS)
def test_every_plan_can_be_made(method: str) -> None:
    plan = plan_of(method)
    resolved = resolve(plan)
    assert resolved.refused == {}
    assert [spec.label for spec in resolved.specs[:2]] == [plan.method, plan.baseline]
    assert len({spec.retriever for spec in resolved.specs}) == len(resolved.specs)
    for group in plan.groups:
        assert group.parameter is None or group.parameter in parameters(method)
        different = {resolved.label_of[variant.spec] for variant in group.variants}
        assert len(different) == len(group.variants), f"two variants of {group.title!r} are the same retriever"
    pictures = [group.plot for group in plan.groups if group.plot]
    assert len(set(pictures)) == len(pictures)


def test_a_method_without_a_plan_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UnknownName, match="rf-mem, memgas"):
        plan_of("bm25")


def test_a_variant_that_changes_nothing_is_the_method() -> None:
    resolved = resolve(PLAN)
    assert [spec.label for spec in resolved.specs] == [
        "hybrid",
        "dense[by=session]",
        "hybrid[dense=0]",
        "hybrid[dense=1]",
        "hybrid[dense=4]",
    ]
    assert resolved.label_of["hybrid[dense=2]"] == "hybrid"


def test_settings_hold_for_all_that_do_not_say_otherwise() -> None:
    resolved = resolve(PLAN, ["hybrid.dense=4", "hybrid.m=5"])
    assert resolved.label_of["hybrid[dense=4]"] == "hybrid"
    assert all(spec.params["m"] == 5 for spec in resolved.specs if spec.name == "hybrid")
    with pytest.raises(UnknownName, match="use one of hybrid, dense"):
        resolve(PLAN, ["memgas.seeds=3"])


def test_another_baseline_can_be_named() -> None:
    assert [spec.label for spec in resolve(PLAN, baseline="bm25").specs][:2] == ["hybrid", "bm25"]


def test_variants_that_do_not_go_with_the_settings_are_left_out_and_named() -> None:
    only_words = ["hybrid.session=0", "hybrid.turn=0", "hybrid.window=0"]
    resolved = resolve(PLAN, only_words)
    assert resolved.refused == {"hybrid[dense=0]": "no channel ranks sessions"}
    run = finished_run("hybrid", "dense[by=session]", "hybrid[dense=1]", "hybrid[dense=4]")
    page = markdown_page(built(run, PLAN, resolved))
    assert "- hybrid[dense=0]: no channel ranks sessions" in page
    assert "without vectors" not in page
    with pytest.raises(InvalidInput, match="hybrid cannot be run: no channel ranks sessions"):
        resolve(PLAN, [*only_words, "hybrid.dense=0"])


def test_the_result_is_that_of_retrieval_with_groups() -> None:
    found = result()
    assert (found["schema"], found["method"], found["baseline"]) == (1, "hybrid", "dense[by=session]")
    rows = {row["retriever"]: row for row in found["rows"]}
    assert rows["hybrid"]["paired"] is None
    assert rows["hybrid"]["paired_to_baseline"]["against"] == "dense[by=session]"
    assert rows["hybrid"]["paired_to_baseline"]["mrr"] == {"diff": 0.5, "low": 0.5, "high": 0.5}
    assert rows["dense[by=session]"]["paired_to_baseline"] is None
    assert rows["dense[by=session]"]["paired"]["mrr"]["diff"] == -0.5
    channels, weights = found["groups"]
    assert [variant["retriever"] for variant in channels["variants"]] == [
        "hybrid",
        "hybrid[dense=0]",
        "dense[by=session]",
    ]
    assert (weights["parameter"], weights["at"], weights["plot"]) == ("dense", 2.0, "weight-of-vectors.png")
    assert [(variant["value"], variant["retriever"]) for variant in weights["variants"]] == [
        (1, "hybrid[dense=1]"),
        (2, "hybrid"),
        (4, "hybrid[dense=4]"),
    ]
    json.dumps(found, allow_nan=False)


def test_the_page_has_a_table_a_group_with_the_method_and_the_baseline_in_it() -> None:
    lines = markdown_page(result()).splitlines()
    assert lines[0] == "# Ablation of hybrid"
    tables = [i for i, line in enumerate(lines) if line.startswith("| variant |")]
    assert lines[tables[0]].endswith("| vs hybrid | vs dense[by=session] | search p50 |")
    assert [line.split("|")[1].strip() for line in lines[tables[0] + 2 : tables[0] + 5]] == [
        "**whole**",
        "without vectors",
        "vectors alone",
    ]
    assert [line.split("|")[1].strip() for line in lines[tables[1] + 2 : tables[1] + 6]] == [
        "dense = 1",
        "**dense = 2**",
        "dense = 4",
        "dense[by=session]",
    ]
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert len(widths) == 1
    assert f"![Differences to hybrid]({DIFFERENCES})" in lines
    assert "![Weight of vectors](weight-of-vectors.png)" in lines


def test_what_the_method_decided_by_is_on_the_page() -> None:
    page = markdown_page(result(path="recollection", mean=0.25))
    assert "| search p50 | decided |" in page
    assert "path: recollection 10 |" in page
    assert "## What hybrid decided by" in page
    assert "| mean | 0.250 | 0.250 | 0.250 |" in page


def test_the_terminal_shows_every_group_in_80_columns() -> None:
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        show(result(path="recollection"), console)
    text = captured.get()
    assert "Channels" in text
    assert "Weight of vectors" in text
    assert "path: recollection" in text
    assert "…" not in text


def test_every_sweep_has_a_picture_and_the_other_variants_have_one() -> None:
    pictures = draw(result())
    assert list(pictures) == ["weight-of-vectors.png", DIFFERENCES]
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5_000 for picture in pictures.values())
    assert list(draw(result(Plan(method="hybrid", baseline="bm25", groups=PLAN.groups[1:])))) == [
        "weight-of-vectors.png"
    ]


def test_a_sweep_over_magnitudes_or_from_zero_is_drawn_too() -> None:
    for values in ((0.05, 0.5, 5), (0, 0.5, 5), (3,)):
        plan = Plan(method="hybrid", baseline="bm25", groups=(sweep("Weight", "hybrid", "dense", values),))
        assert list(draw(result(plan))) == ["weight.png"]


def test_everything_is_written_to_the_folder(tmp_path: Path) -> None:
    found = result()
    write_ablation(tmp_path, found)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ablation.json",
        "ablation.md",
        "differences.png",
        "weight-of-vectors.png",
    ]
    assert json.loads((tmp_path / "ablation.json").read_text("utf-8")) == found
    for target in ("differences.png", "weight-of-vectors.png"):
        assert f"({target})" in (tmp_path / "ablation.md").read_text("utf-8")
