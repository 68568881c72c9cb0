"""``memagent tune feedback``: from tasks with private data to preference pairs over the leader's guidelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memagent.cli.output import write_fields
from memagent.evals.measuring import check_places, progress_bar, stoppable
from memagent.evals.options import BudgetCalls, BudgetTokens, CallTimeout, with_options

if TYPE_CHECKING:
    from memagent.agents.lsrp.feedback import Feedback, FeedbackSettings
    from memagent.evals.lsrp.data import LsrpCase
    from memagent.llm.meter import Meter

EXAMPLE = """
Example: memagent tune feedback --dataset cogen --data train.json --leader http://localhost:8000/v1
--device-model http://localhost:8001/v1 --judge openai:gpt-5-mini --out pairs.json; without a model:
memagent tune feedback --dataset population --leader scripted --limit 40 --out pairs.json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackOptions:
    """Whose tasks, who writes, and what makes a pair: a field is an option."""

    dataset: Annotated[
        Literal["cogen", "movieexp", "population", "bundled"],
        typer.Option(help="The tasks; bundled (a few example users) and population (made up) need no --data."),
    ] = "bundled"
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A file of the data set, repeatable. Keep whom you evaluate on out of it."),
    ] = None
    leader: Annotated[
        str,
        typer.Option(
            metavar="MODEL|URL|scripted",
            help="Who writes guidelines, and is to be tuned; or scripted, which plays all three without a model.",
        ),
    ]
    device_model: Annotated[
        str | None, typer.Option(metavar="MODEL|URL", help="The small model, which is shown the private data.")
    ] = None
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL|URL", help="Who rates answers; it is shown profiles. Default: nobody.")
    ] = None
    guard: Annotated[
        Literal["redact", "refuse", "pass", "off"],
        typer.Option(help="What is done where a task holds private facts. Published: off."),
    ] = "redact"
    form: Annotated[
        Literal["published", "run-time"],
        typer.Option(
            help="The prompt of a pair: published, without examples and system message; run-time, as it is in use."
        ),
    ] = "published"
    margin: Annotated[
        float, typer.Option(min=0, help="Guidelines that are worth less apart make no pair. Published: 0.")
    ] = 0.0
    temperature: Annotated[float, typer.Option(help="Of the second guideline.")] = 0.5
    top_k: Annotated[int, typer.Option(min=2, help="Tokens that it is drawn among, where the server knows this.")] = 2
    top_p: Annotated[float, typer.Option(help="Their share of the probability.")] = 0.9
    seed: Annotated[
        int, typer.Option(min=0, help="What it is drawn from, where the server takes a seed. Published: 666.")
    ] = 666
    guideline_tokens: Annotated[int, typer.Option(min=1, help="The longest guideline.")] = 512
    text_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 768
    limit: Annotated[int | None, typer.Option(min=1, help="The first N tasks only.")] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Tasks under way at once.")] = 16
    timeout: CallTimeout = 120.0
    budget_calls: BudgetCalls = None
    budget_tokens: BudgetTokens = None


@with_options(FeedbackOptions, "options")
def feedback(
    *,
    options: FeedbackOptions,
    out: Annotated[
        Path,
        typer.Option(help="The pairs to write, in ShareGPT's shape: a JSON list, or JSON Lines for a name in .jsonl."),
    ],
    calls: Annotated[
        Path | None,
        typer.Option(
            help="The file of all replies, private answers among them; another --margin over it asks nothing again. "
            "Default: beside --out."
        ),
    ] = None,
) -> None:
    """Have two guidelines a task answered by a small model, and prefer the one with which it does better (SMFB-DPO).

    `memagent tune dpo` tunes the leader on the pairs. Exit status: 0 done, 1 a model failed, 2 bad input, 3 stopped or
    the budget is spent (the same command resumes, and asks nothing again).
    """
    with stoppable():
        from memagent.agents.lsrp.feedback import collect_trials, feedback_of
        from memagent.evals.lsrp.data import load_lsrp
        from memagent.evals.lsrp.making import cast_of, guard_of
        from memagent.llm.meter import Budget, Meter
        from memagent.tuning.sharegpt import write_sharegpt

        place = calls or out.with_name(f"{out.name}.calls.jsonl")
        check_places(out, place)
        data = load_lsrp(options.dataset, options.data or ())
        cases = _once(data.cases)[: options.limit]
        settings = _settings(options, data.between)
        meter = Meter(Budget(calls=options.budget_calls, tokens=options.budget_tokens))
        with progress_bar() as tell, cast_of(options, meter) as cast:
            trials = collect_trials(
                [case.task for case in cases],
                cast,
                settings=settings,
                guard=guard_of(options.guard),
                concurrency=options.concurrency,
                calls=place,
                progress=lambda done, total: tell(done, total, "tasks"),
            )
        found = feedback_of(trials, settings=settings, groups=_numbered([case.user for case in cases]))
        write_sharegpt(out, found.pairs)
        write_fields(_told(found, len(cases), meter, out, place))


def _numbered(users: Sequence[str]) -> list[str]:
    """Users as numbers: a user may be known by a name or by a whole profile, and the pairs leave the device."""
    numbers = {user: number for number, user in enumerate(dict.fromkeys(users), start=1)}
    return [f"user-{numbers[user]}" for user in users]


def _once(cases: Sequence[LsrpCase]) -> list[LsrpCase]:
    """Without tasks that repeat an earlier one of the same user."""
    first: dict[tuple[str, str], LsrpCase] = {}
    for case in cases:
        first.setdefault(case.pair, case)
    return list(first.values())


def _settings(options: FeedbackOptions, between: str) -> FeedbackSettings:
    from memagent.agents.lsrp.feedback import FeedbackSettings

    return FeedbackSettings(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        margin=options.margin,
        form=options.form,
        between=between,
    )


def _told(found: Feedback, tasks: int, meter: Meter, out: Path, calls: Path) -> dict[str, str]:
    totals = meter.totals()
    udrr, fluency, relevance = found.weights.tolist()
    return {
        "tasks": str(tasks),
        "pairs": f"{len(found.pairs)}, the greedy guideline chosen in {found.greedy}, {found.ties} of them ties",
        **{f"no pair: {why}": str(count) for why, count in found.dropped.items()},
        "weights": f"UDRR {udrr:.2f}, fluency {fluency:.2f}, relevance {relevance:.2f}",
        "no rating": f"{found.unrated} answers",
        "calls": str(totals.calls),
        "tokens": f"{totals.usage.input} sent, {totals.usage.output} received",
        "file": str(out),
        "replies": f"{calls} (with private answers: delete it with the data)",
    }
