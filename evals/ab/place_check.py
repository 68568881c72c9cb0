"""The check of places: a run and the same run with reversed pages, item by item."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.agents.ab.places import place_effects, reversed_verdicts, warnings_of
from memagent.agents.ab.storing import read_events

if TYPE_CHECKING:
    from memagent.agents.ab.experiment import Outcome
    from memagent.agents.ab.report import ExperimentReport


def with_places(report: ExperimentReport, turned: Outcome, *, run: Path, reversed_: Path) -> ExperimentReport:
    """``report`` with what places decide: in ``extra``, and as warnings where it is significant or changes a verdict.

    ``run`` and ``reversed_`` are the folders of the two logs. A verdict of a confidence sequence is not set beside one
    of a test.
    """
    effects = place_effects(read_events(run), read_events(reversed_))
    after = reversed_verdicts(turned, primary=report.primary, alpha=report.alpha)
    before = {} if report.sequence else {verdict.arm: verdict.finding for verdict in report.verdicts}
    shown = [{**asdict(effect), "difference": effect.difference._asdict()} for effect in effects]
    return replace(
        report,
        warnings=[*report.warnings, *warnings_of(effects, before, after)],
        extra={**report.extra, "places": shown, "reversed_verdicts": after},
    )
