"""The report as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memagent.agents.ab.metrics import METRICS

if TYPE_CHECKING:
    from memagent.agents.ab.report import ExperimentReport


_ABOUT_TESTS = (
    "`p (Holm)` is corrected over the arms for the primary metric, and over metrics and arms for the rest. `found at "
    "80 %` is the difference that so many users show with a power of 0.8."
)


def markdown(report: ExperimentReport) -> str:
    """Verdicts first, then tables, warnings and limits."""
    parts = [f"# {report.title}", "", *(f"- **{verdict.text}**" for verdict in report.verdicts), ""]
    parts += [_setting(report), ""]
    if report.warnings:
        parts += ["## Before believing it", "", *(f"- {text}" for text in report.warnings), ""]
    parts += ["## Arms", "", *_table(arm_rows(report)), ""]
    if report.differences:
        parts += [f"## Differences to {report.arms[0].name}", "", *_table(difference_rows(report)), ""]
        parts += [_ABOUT_TESTS, ""]
    if report.position:
        parts += ["## Pages reversed", "", *_table(position_rows(report)), ""]
    if report.offline:
        parts += ["## Offline", "", *_table(offline_rows(report)), ""]
    parts += [text + "\n" for text in notes(report)]
    parts += ["## How visits ended", "", *_table(ending_rows(report)), ""]
    parts += ["## What the figures mean", "", *(f"- `{m.name}`: {m.about}" for m in METRICS.values()), ""]
    parts += ["## What this cannot tell", "", *(f"- {text}" for text in report.limits), ""]
    return "\n".join(parts)


def arm_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm: means with their intervals."""
    rows = [["arm", *METRICS]]
    for arm in report.arms:
        figures = [arm.metrics.get(name) for name in METRICS]
        rows.append([arm.name, *(f"{f['mean']:.3f} [{f['low']:.3f}, {f['high']:.3f}]" if f else "-" for f in figures)])
    return rows


def difference_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm and metric, the primary metric first."""
    rows = [["arm", "metric", "users", "difference", "95 % interval" if report.alpha == 0.05 else "interval",
             "p", "p (Holm)", "found at 80 %"]]  # fmt: skip
    for d in sorted(report.differences, key=lambda d: d.metric != report.primary):
        name = f"{d.metric} (primary)" if d.metric == report.primary else d.metric
        interval = f"{number(d.low, sign=True)} to {number(d.high, sign=True)}"
        figures = [number(d.p), number(d.p_holm), number(d.detectable)]
        rows.append([d.arm, name, str(d.users), number(d.difference, sign=True), interval, *figures])
    return rows


def position_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm: the primary metric with reversed pages, less that with pages as they are."""
    rows = [["arm", f"{report.primary}", "reversed", "difference", "interval"]]
    for d in report.position:
        interval = f"{number(d.low, sign=True)} to {number(d.high, sign=True)}"
        means = [number(d.baseline_mean), number(d.arm_mean)]
        rows.append([d.arm, *means, number(d.difference, sign=True), interval])
    return rows


def offline_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm."""
    names = list(dict.fromkeys(name for figures in report.offline.values() for name in figures))
    rows = [["arm", *names]]
    return rows + [[arm, *(number(f.get(n, math.nan)) for n in names)] for arm, f in report.offline.items()]


def ending_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm: shares of the reasons why visits ended."""
    names = sorted({name for arm in report.arms for name in arm.endings})
    rows = [["arm", "visits", *names]]
    return rows + [
        [arm.name, str(arm.visits), *(f"{arm.endings.get(n, 0) / max(1, arm.visits):.1%}" for n in names)]
        for arm in report.arms
    ]


def notes(report: ExperimentReport) -> list[str]:
    """What the caller added, in sentences: Kendall's tau, and what calibration reached."""
    said = []
    tau = report.extra.get("kendall_tau")
    if tau is not None and math.isfinite(tau):
        said.append(
            f"Kendall's tau between the offline order of the arms (nDCG@20) and the simulated one ({report.primary}): "
            f"{tau:.2f}."
        )
    found = report.extra.get("calibration")
    if found:
        levels = ", ".join(
            f"activity {level}: {found['reached'][level]:.2f} of {found['targets'][level]:g}"
            for level in found["reached"]
        )
        said.append(
            f"Budgets were fitted on {found['on']}, with the arm {found['arm']}; mean clicks of a visit {levels}."
        )
    return said


def number(value: float, *, sign: bool = False) -> str:
    """Four decimals; a dash for what is not defined."""
    if not math.isfinite(value):
        return "-"
    return f"{value:+.4f}" if sign else f"{value:.4f}"


def _setting(report: ExperimentReport) -> str:
    facts = report.facts
    early = " It was stopped early, as soon as the answer was sure." if report.stopped_early else ""
    return (
        f"{report.users} of {facts['users']} simulated users (policy {facts['policy']}, seed {facts['seed']}), each in "
        f"every arm: {', '.join(facts['arms'])}.{early}"
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
