"""The options of ``memagent eval agentic-rag``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from memagent.evals.options import (
    BudgetCalls,
    BudgetCost,
    BudgetTokens,
    CacheFolder,
    CallTimeout,
    EncoderName,
    Markdown,
    Precision,
    ReaderPrice,
    Seed,
    SetParams,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HopOptions:
    """What is asked, of which systems, over which corpus, and what it may cost: a field is an option."""

    dataset: Annotated[
        Literal["hotpotqa", "2wiki", "musique", "popqa", "world"],
        typer.Option(help="The data set; world is made up, needs no --data, and can be read by --reader scripted."),
    ]
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of the data set (.json, .jsonl, either with .gz), repeatable: questions and passages, or the "
            "data set's own files, which hold both."
        ),
    ] = None
    split: Annotated[
        Literal["dev", "train", "test", "all"] | None,
        typer.Option(help="The questions asked. Default: dev if there are any, otherwise all."),
    ] = None
    reader: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|URL|scripted",
            help="Who answers: the URL of an OpenAI-compatible server, a name for init_chat_model, embedded; or "
            "scripted, which takes questions of the made-up world apart but knows only what it is shown.",
        ),
    ] = None
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle",
            help="No model: search with the data set's own decompositions, and compare what is found with one search "
            "for as many passages.",
        ),
    ] = False
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable: none (no retrieval), rag (one search, for --top-k passages and for as many as the agent "
            "may see), reason-rag, search-o1, ircot (loops in the manner of these). Default: none, rag, reason-rag."
        ),
    ] = None
    retriever: Annotated[
        list[str] | None,
        typer.Option(help="NAME or 'NAME\\[param=value,...]', or the URL of a /retrieve endpoint. Default: hybrid."),
    ] = None
    set_: SetParams = None
    top_k: Annotated[int, typer.Option(min=1, help="Passages a search.")] = 3
    rounds: Annotated[
        str,
        typer.Option(
            metavar="N,N,...", help="The most searches of the loops; several make a sweep, for example 0,1,2,4,8."
        ),
    ] = "4"
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest output of a step.")] = 256
    max_prompt_tokens: Annotated[
        int,
        typer.Option(
            min=1,
            help="The longest prompt, in estimated tokens: a longer one ends a loop; of one search as many passages as "
            "fit are shown.",
        ),
    ] = 8192
    baseline: Annotated[
        str | None,
        typer.Option(
            help="The system that the others are compared with. Default: the first rag of the same retriever."
        ),
    ] = None
    encoder: EncoderName = None
    precision: Precision = "float32"
    seed: Seed = 0
    limit: Annotated[int | None, typer.Option(min=1, help="Ask the first N questions only.")] = None
    per_question: Annotated[
        Path | None,
        typer.Option(help="Also write a row for each question and system, with its whole trace, as JSON Lines."),
    ] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts under way at once.")] = 16
    timeout: CallTimeout = 120.0
    budget_calls: BudgetCalls = None
    budget_tokens: BudgetTokens = None
    budget_cost: BudgetCost = None
    reader_price: ReaderPrice = None
    cache: Annotated[
        bool,
        typer.Option(help="Keep embeddings, corpora and replies: a second run encodes nothing and asks nobody."),
    ] = True
    cache_dir: CacheFolder = None
    markdown: Markdown = False
