"""LSRP's privacy figures: what the guard lets through, and what an attacker guesses from the wire.

    python benchmarks/lsrp_privacy.py [--tasks 2000] [--people 150] [--seed 0] [--out FILE]

Three tables: the guard on generated tasks, half of them with a planted fact; the reconstruction attack beside chance,
by how the facts are told; the same attack on the forms of U-U-RAG's index. All data are made up; nothing is downloaded.
The exit status is 1 when a planted fact crossed with the guard on, or more than 5 % of the clean tasks were changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.lsrp.guard import MeaningDetector, ProfileGuard
from memagent.encoders import load_encoder
from memagent.evals.lsrp.index_leakage import index_figures
from memagent.evals.lsrp.privacy import GuardFigures, attack_figures, generated, guard_figures

if TYPE_CHECKING:
    from memagent.evals.lsrp.attack import Attacked

CLEAN_CHANGED = 0.05


def main() -> int:
    """Measure, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE")
    given = parser.parse_args()
    tasks = generated(given.tasks, given.seed)
    encoder = load_encoder()
    meaning = ProfileGuard(detectors=[MeaningDetector(encoder)])
    guards = {
        "off": None,
        "pass": ProfileGuard(policy="pass"),
        "redact": ProfileGuard(),
        "redact, meaning too": meaning,
    }
    figures = {label: guard_figures(guard, tasks) for label, guard in guards.items()}
    print("| guard | planted facts that crossed | clean tasks unchanged | private facts that crossed | ms a task |")
    print("|---|---|---|---|---|")
    for label, found in figures.items():
        print(f"| {label} | {_guard_row(found)} |")
    on = figures["redact"]
    for label in ("redact", "redact, meaning too"):
        found = figures[label]
        print(f"\n{label}: {found.paraphrases_passed} of {found.paraphrases} paraphrases passed as they were written")
    guards.pop("pass")
    attacked = attack_figures(encoder, guards=guards, people=given.people, seed=given.seed)
    print(
        "\n| guard | the user's tasks tell it | " + " | ".join(each.field for each in attacked["off", "nothing"]) + " |"
    )
    print("|---|---|---|---|---|")
    for (label, told), rows in attacked.items():
        print(f"| {label} | {told} | {_attack_row(rows)} |")
    print("\n| index | " + " | ".join(each.field for each in attacked["off", "nothing"]) + " |\n|---|---|---|---|")
    indexes = index_figures(encoder, people=given.people, seed=given.seed)
    for label, rows in indexes.items():
        print(f"| {label} | {_attack_row(rows)} |")
    if given.out:
        given.out.write_text(json.dumps(_result(figures, attacked, indexes), indent=1) + "\n", encoding="utf-8")
    return int(on.leaking > 0 or on.clean_changed > CLEAN_CHANGED * on.clean)


def _guard_row(found: GuardFigures) -> str:
    facts = found.leakage.facts
    return (
        f"{found.leaking} of {found.planted} | {found.clean - found.clean_changed} of {found.clean} | "
        f"{facts.crossed} of {facts.private} | {found.milliseconds:.2f}"
    )


def _attack_row(rows: list[Attacked]) -> str:
    cells = (
        f"{100 * row.accuracy.mean:.0f} % ({100 * row.accuracy.low:.0f} to {100 * row.accuracy.high:.0f}; "
        f"chance {100 * row.chance:.0f} %)"
        for row in rows
    )
    return " | ".join(cells)


def _result(
    figures: dict[str, GuardFigures], attacked: dict[Any, list[Attacked]], indexes: dict[str, list[Attacked]]
) -> dict[str, Any]:
    return {
        "guard": {label: asdict(found) for label, found in figures.items()},
        "attack": [
            {"guard": label, "told": told, "fields": [asdict(row) for row in rows]}
            for (label, told), rows in attacked.items()
        ],
        "index": {label: [asdict(row) for row in rows] for label, rows in indexes.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
