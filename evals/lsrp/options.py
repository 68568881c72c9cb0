"""The options of ``memagent eval lsrp``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer


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
    guard: Annotated[
        Literal["redact", "refuse", "pass", "off"],
        typer.Option(help="What is done where a task holds private facts: see the guard's page. Published: off."),
    ] = "redact"
    guideline_tokens: Annotated[int, typer.Option(min=1, help="The longest guideline.")] = 512
    text_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 768
    encoder: Annotated[
        str | None, typer.Option(help="A sentence-transformers model, by name or path. Default: all-MiniLM-L6-v2.")
    ] = None
    precision: Annotated[Literal["float32", "int8"], typer.Option(help="Of the encoder.")] = "float32"
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and of the bootstrap.")] = 0
    limit: Annotated[int | None, typer.Option(min=1, help="Test the first N tasks only.")] = None
    train_limit: Annotated[int | None, typer.Option(min=1, help="Learn from the first N tasks only.")] = None
    per_question: Annotated[
        Path | None,
        typer.Option(help="Also write a row for each task and system, as JSON Lines. It holds private answers."),
    ] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Tasks under way at once.")] = 16
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one call of a model.")] = 120.0
    budget_calls: Annotated[int | None, typer.Option(min=0, help="The most calls of this run.")] = None
    budget_tokens: Annotated[int | None, typer.Option(min=0, help="The most tokens, sent and received.")] = None
    cache: Annotated[
        bool, typer.Option(help="Keep embeddings and replies: a second run encodes nothing and asks nobody.")
    ] = True
    cache_dir: Annotated[
        Path | None,
        typer.Option(envvar="MEMAGENT_CACHE", help="Where they are kept. Default: the user's cache folder."),
    ] = None
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")] = False
