"""The report as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.amounts import amount, amount_in, change, p_value
from memagent.agents.ab.metrics import METRICS

if TYPE_CHECKING:
    from memagent.agents.ab.report import ExperimentReport
    from memagent.agents.ab.statistics import Difference

ENDINGS = {
    "chose": "chose to leave",
    "end_of_list": "left at the end of the list",
    "fatigue": "energy used up",
    "step_limit": "step limit",
    "nothing_shown": "nothing to show",
    "arm_failed": "recommender failed",
    "policy_failed": "user model failed",
}
"""Why visits ended, in words."""


_ABOUT_TESTS = (
    "`p (Holm)` is corrected over the arms for the primary metric, and over metrics and arms for the rest. `found at "
    "80 %` is the difference that so many users show with a power of 0.8, in a single test."
)


def markdown(report: ExperimentReport) -> str:
    """Verdicts first, then tables, warnings and limits."""
    parts = [f"# {report.title}", "", *(f"- **{verdict.text}**" for verdict in report.verdicts), ""]
    parts += [report.limits[0] + "\n"] if report.limits else []
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
    parts += ["## What the figures mean", "", *(f"- {m.label} (`{m.name}`): {m.about}" for m in METRICS.values()), ""]
    parts += ["## What this cannot tell", "", *(f"- {text}" for text in report.limits), ""]
    return "\n".join(parts)


def arm_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each metric, the primary one first: means of each arm with their intervals."""
    rows = [["metric", *(arm.name for arm in report.arms)]]
    for name in sorted(METRICS, key=lambda name: name != report.primary):
        found = [arm.metrics.get(name) for arm in report.arms]
        told = [amount_in(name, f["mean"], f["low"], f["high"]) if f else "-" for f in found]
        rows.append([_titled(name, report), *told])
    return rows


def difference_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm and metric, the primary metric first."""
    rows = [["arm", "metric", "users", "difference", f"{100 * (1 - report.alpha):g} % interval",
             "p", "p (Holm)", "found at 80 %"]]  # fmt: skip
    for d in sorted(report.differences, key=lambda d: d.metric != report.primary):
        tested = [p_value(d.p), p_value(d.p_holm), change(d.metric, d.detectable).lstrip("+")]
        told = [change(d.metric, d.difference), _interval(d)]
        rows.append([d.arm, _titled(d.metric, report), str(d.users), *told, *tested])
    return rows


def position_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm: the primary metric with reversed pages, less that with pages as they are."""
    rows = [["arm", METRICS[report.primary].label.lower(), "reversed", "difference", "interval"]]
    for d in report.position:
        means = [amount(d.metric, d.baseline_mean), amount(d.metric, d.arm_mean)]
        rows.append([d.arm, *means, change(d.metric, d.difference), _interval(d)])
    return rows


def _titled(metric: str, report: ExperimentReport) -> str:
    return f"{METRICS[metric].label}{' (primary)' if metric == report.primary else ''}"


def _interval(d: Difference) -> str:
    return f"{change(d.metric, d.low, unit=False)} to {change(d.metric, d.high)}" if math.isfinite(d.low) else "-"


def offline_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm."""
    names = list(dict.fromkeys(name for figures in report.offline.values() for name in figures))
    rows = [["arm", *names]]
    return rows + [[arm, *(number(f.get(n, math.nan)) for n in names)] for arm, f in report.offline.items()]


def ending_rows(report: ExperimentReport) -> list[list[str]]:
    """Head and a row for each arm: shares of the reasons why visits ended."""
    names = sorted({name for arm in report.arms for name in arm.endings})
    rows = [["arm", "visits", *(ENDINGS.get(name, name) for name in names)]]
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
    for arm, tokens in report.extra.get("rankers", {}).items():
        said.append(
            f"The lists of {arm} were ranked by a language model: {tokens['calls']:,} calls, "
            f"{tokens['input_tokens']:,} tokens sent and {tokens['output_tokens']:,} received, cost "
            f"{tokens['cost']:g}, {sum(tokens['failed'].values())} calls without an answer, in {tokens['runs']} runs."
        )
    used = report.extra.get("agent")
    return [*said, _played(report, used)] if used else said


def _played(report: ExperimentReport, used: Mapping[str, Any]) -> str:
    """How visitors were played by a language model, and what it took."""
    settings = used["settings"]
    invalid = ", ".join(
        f"{arm.name} {arm.totals['asked_again'] / max(1, arm.totals['asked_again'] + arm.totals['steps']):.1%}"
        for arm in report.arms
    )
    failed = sum(used["failed"].values())
    posters = used.get("posters", {})
    missing = (
        f" {posters['no poster']} posters could not be shown, in the last run." if posters.get("no poster") else ""
    )
    return (
        f"The visitors were played by a language model ({report.facts['policy']}; posters: {settings['visuals']}; "
        f"summary of their taste: {settings['summary']}): {used['calls']:,} calls, {used['input_tokens']:,} tokens "
        f"sent and {used['output_tokens']:,} received, cost {used['cost']:g}, {failed} calls without an answer, in "
        f"{used['runs']} runs; of one that was killed, what its users under way had used is not counted. Share of "
        f"decisions that were invalid and asked for again: {invalid}.{missing}"
    )


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


def setting_rows(report: ExperimentReport) -> list[list[str]]:
    """What and its value: how the experiment was run."""
    facts, layout = report.facts, report.facts["layout"]
    visits = "1 visit" if facts["visits"] == 1 else f"up to {facts['visits']} visits"
    who = f"{report.users} of {facts['users']} simulated users, policy {facts['policy']}"
    rows = [
        ["Baseline", report.arms[0].name],
        ["Compared with it", ", ".join(arm.name for arm in report.arms[1:]) or "nothing"],
        ["Primary metric", f"{METRICS[report.primary].label}: {METRICS[report.primary].about}"],
        ["Visitors", f"{who}; the same in every arm, in an order that goes round; {visits} to each"],
        ["Site", f"{layout['page_size']} items a page, up to {layout['max_pages']} pages"],
        ["Seed", str(facts["seed"])],
    ]
    return [["", ""], *rows]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ([_cell(cell) for cell in row] for row in rows)
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def _cell(text: str) -> str:
    """Text that neither ends a cell nor is HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
