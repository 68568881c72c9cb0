"""The options of ``memagent eval lsrp``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from memagent.evals.options import (
    BudgetCalls,
    BudgetTokens,
    CacheFolder,
    CallTimeout,
    EncoderName,
    Markdown,
    Precision,
    RepliesKept,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LsrpOptions:
    """Who writes what for whom, and what it may cost: a field is an option."""

    dataset: Annotated[
        Literal["cogen", "movieexp", "population", "bundled"],
        typer.Option(
            help="The tasks; bundled: a few example users; population: made up, its users' best style depends on what "
            "they do. Both need no --data, and can be read by --leader scripted."
        ),
    ] = "bundled"
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A file of the data set (.json, .jsonl, either with .gz), repeatable: what is tested."),
    ] = None
    train: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of tasks that u-u-rag learns from, repeatable. Default: those of --data whose users are not "
            "tested."
        ),
    ] = None
    published_split: Annotated[
        bool,
        typer.Option(
            "--published-split",
            help="Keep both sides as they are. By default whoever is tested is left out of --train, and repeated tasks "
            "are left out: MovieExp's files share users, and pairs of user and movie.",
        ),
    ] = False
    test_share: Annotated[float, typer.Option(help="Without --train: the share of tasks that are tested.")] = 0.2
    leader: Annotated[
        str,
        typer.Option(
            metavar="MODEL|URL|scripted",
            help="Who writes guidelines: the URL of an OpenAI-compatible server, a name for init_chat_model; or "
            "scripted, which plays leader, small model and judge without a model.",
        ),
    ]
    device_model: Annotated[
        str | None, typer.Option(metavar="MODEL|URL", help="The small model, which is shown the private data.")
    ] = None
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|URL", help="Who rates answers; it is shown profiles too. Default: nobody, no ratings."
        ),
    ] = None
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable: general, directive, supportive, participative, achievement, u-u-rag, model-chosen, "
            "oracle, alone (no leader), leader-alone (no private data), sketch (CoGenesis). Default: all."
        ),
    ] = None
    baseline: Annotated[str, typer.Option(help="The way of writing that the others are compared with.")] = "general"
    k: Annotated[str, typer.Option("--k", metavar="N,N,...", help="Neighbours that vote; several make a sweep.")] = "5"
    index_profile: Annotated[
        bool, typer.Option(help="Neighbours by profile and task, as published; or by the task alone.")
    ] = True
    save_index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write what u-u-rag has learned, for --index and for devices: vectors and best styles, no texts.",
        ),
    ] = None
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Let u-u-rag vote from a file of --save-index; nobody is asked to label anything. Test nobody whom it "
            "was learned from: keep the data, --seed and --test-share of that run, or test other files "
            "(--published-split tests all of --data).",
        ),
    ] = None
    guard: Annotated[
        Literal["redact", "refuse", "pass", "off"],
        typer.Option(help="What is done where a task holds private facts: see the guard's page. Published: off."),
    ] = "redact"
    guideline_tokens: Annotated[int, typer.Option(min=1, help="The longest guideline.")] = 512
    text_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 768
    encoder: EncoderName = None
    precision: Precision = "float32"
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and of the bootstrap.")] = 0
    limit: Annotated[int | None, typer.Option(min=1, help="Test the first N tasks only.")] = None
    train_limit: Annotated[int | None, typer.Option(min=1, help="Learn from the first N tasks only.")] = None
    per_question: Annotated[
        Path | None,
        typer.Option(help="Also write a row for each task and system, as JSON Lines. It holds private answers."),
    ] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Tasks under way at once.")] = 16
    timeout: CallTimeout = 120.0
    budget_calls: BudgetCalls = None
    budget_tokens: BudgetTokens = None
    cache: RepliesKept = True
    cache_dir: CacheFolder = None
    markdown: Markdown = False
