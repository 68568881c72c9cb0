"""``memagent tune trees``: from training questions and passages to search trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from memagent.cli.output import write_fields
from memagent.errors import InvalidInput
from memagent.evals.measuring import (
    cache_folder,
    cached_encoder,
    check_places,
    progress_bar,
    reply_cache,
    stoppable,
)
from memagent.evals.options import BudgetCalls, BudgetTokens, CallTimeout, with_options

if TYPE_CHECKING:
    from memagent.agents.reason_rag.search_settings import SearchSettings
    from memagent.agents.reason_rag.searching import Searcher
    from memagent.agents.reason_rag.tree import Case, Tree
    from memagent.agents.reason_rag.tree_run import Searching
    from memagent.evals.multihop.questions import HopSet
    from memagent.llm.meter import Meter
    from memagent.llm.model import Model

SCRIPTED = "scripted"

EXAMPLE = """
Example: memagent tune trees --dataset hotpotqa --data hotpotqa.questions.jsonl --data hotpotqa.corpus.jsonl
--policy http://localhost:8000/v1 --judge openai:gpt-5-mini --limit 100 --out trees.jsonl
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeOptions:
    """What is searched, by whom, how, and what it may cost: a field is an option."""

    dataset: Annotated[
        Literal["hotpotqa", "2wiki", "musique", "popqa", "world"],
        typer.Option(
            help="Where the questions are from; world is made up, needs no --data, and has a scripted policy."
        ),
    ]
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A file of questions or passages (.json, .jsonl, either with .gz), repeatable."),
    ] = None
    split: Annotated[
        Literal["train", "dev", "test", "all"],
        typer.Option(
            help="The questions. The judge is shown their answers: keep those that you evaluate on out of it."
        ),
    ] = "train"
    policy: Annotated[
        str,
        typer.Option(
            metavar="MODEL|URL|scripted",
            help="Who thinks: the URL of an OpenAI-compatible server, a name for init_chat_model; or scripted.",
        ),
    ]
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL|URL|scripted", help="Who values the steps. Default: the policy.")
    ] = None
    retriever: Annotated[
        str, typer.Option(help="NAME or 'NAME\\[param=value,...]', or the URL of a /retrieve endpoint.")
    ] = "hybrid"
    top_k: Annotated[int, typer.Option(min=1, help="Passages a search.")] = 3
    iterations: Annotated[int, typer.Option(min=1, help="Visits of a leaf for each question.")] = 64
    max_children: Annotated[int, typer.Option(min=1, help="Outputs sampled after one prompt.")] = 2
    rule: Annotated[
        Literal["ucb1", "puct"], typer.Option(help="The selection score: the released code's, or the paper's.")
    ] = "ucb1"
    c: Annotated[float, typer.Option(min=0, help="The weight of exploration in it.")] = 1.414
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the policy; above 0, or siblings are equal.")] = (
        1.0
    )
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest output.")] = 256
    max_prompt_tokens: Annotated[int, typer.Option(min=1, help="The longest prompt; a longer one ends its branch.")] = (
        8192
    )
    max_iter: Annotated[int, typer.Option(min=0, help="Outputs before an answer is forced.")] = 7
    keep_repeats: Annotated[
        bool, typer.Option(help="Search on behind an output that repeats its sibling, as the released code does.")
    ] = False
    rejudge: Annotated[
        bool, typer.Option(help="Judge a finished leaf again each time it is visited, as the released code does.")
    ] = True
    limit: Annotated[int | None, typer.Option(min=1, help="The first N questions only.")] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 16
    timeout: CallTimeout = 120.0
    budget_calls: BudgetCalls = None
    budget_tokens: BudgetTokens = None
    encoder: Annotated[
        str | None, typer.Option(help="A sentence-transformers model, by name or path. Default: all-MiniLM-L6-v2.")
    ] = None
    precision: Annotated[Literal["float32", "int8"], typer.Option(help="Of the encoder.")] = "float32"
    cache: Annotated[bool, typer.Option(help="Keep embeddings, corpora and replies.")] = True
    cache_dir: Annotated[
        Path | None,
        typer.Option(envvar="MEMAGENT_CACHE", help="Where they are kept. Default: the user's cache folder."),
    ] = None


@with_options(TreeOptions, "options")
def trees(
    *,
    options: TreeOptions,
    out: Annotated[Path, typer.Option(help="The file of trees to write. A stopped run keeps its steps beside it.")],
) -> None:
    """Search a tree of reasoning steps for each question: a policy samples steps, a judge who knows the answer values
    them. `memagent tune pairs` makes preference pairs of the trees.

    Exit status: 0 done, 1 a model failed, 2 bad input, 3 stopped or the budget is spent (the same command resumes, and
    asks nothing again).
    """
    with stoppable():
        from memagent.agents.reason_rag.tree_log import write_trees
        from memagent.agents.reason_rag.tree_run import grow_trees
        from memagent.llm.meter import Budget, Meter

        check_places(out)
        settings = _settings(options)
        data = _data(options)
        meter = Meter(Budget(calls=options.budget_calls, tokens=options.budget_tokens))
        log = out.with_name(f"{out.name}.partial")
        with progress_bar() as tell, _searching(options, data, settings, meter) as searching:
            grown = grow_trees(
                _cases(data, options.limit),
                searching,
                log=log,
                progress=lambda done, total: tell(done, total, "visits of leaves"),
            )
        write_trees(out, grown)
        log.unlink(missing_ok=True)
        write_fields(_told(grown, meter, out))


def _settings(options: TreeOptions) -> SearchSettings:
    from memagent.agents.reason_rag.search_settings import PRESET
    from memagent.agents.reason_rag.selection import Selection
    from memagent.agents.reason_rag.transitions import TREE_SEARCH

    step = replace(
        PRESET.step,
        top_k=options.top_k,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        max_prompt_tokens=options.max_prompt_tokens,
        budget=replace(TREE_SEARCH, max_iter=options.max_iter),
    )
    return replace(
        PRESET,
        iterations=options.iterations,
        max_children=options.max_children,
        selection=Selection(rule=options.rule, c=options.c),
        rejudge=options.rejudge,
        keep_repeats=options.keep_repeats,
        step=step,
    )


def _data(options: TreeOptions) -> HopSet:
    from memagent.evals.multihop.files import load_hops

    if SCRIPTED in (options.policy, options.judge) and options.dataset != "world":
        raise InvalidInput(
            f"the scripted model cannot read the questions of {options.dataset}", hint="use it with --dataset world"
        )
    return load_hops(options.dataset, options.data or (), split=options.split)


def _cases(data: HopSet, limit: int | None) -> list[Case]:
    from memagent.agents.reason_rag.tree import Case

    return [Case(id=one.id, question=one.text, answers=one.answers) for one in data.questions[:limit]]


@contextmanager
def _searching(options: TreeOptions, data: HopSet, settings: SearchSettings, meter: Meter) -> Iterator[Searching]:
    from memagent.agents.reason_rag.tree_run import Searching

    with _searcher(options, data) as (searcher, identity), _models(options, meter) as (policy, judge):
        yield Searching(
            policy=policy,
            judge=judge,
            searcher=searcher,
            settings=settings,
            concurrency=options.concurrency,
            identity=identity,
        )


@contextmanager
def _searcher(options: TreeOptions, data: HopSet) -> Iterator[tuple[Searcher, dict[str, Any]]]:
    """What is searched, and what names it for a run that is to be continued."""
    from memagent.agents.reason_rag.endpoint import EndpointSearcher
    from memagent.encoders import load_encoder
    from memagent.evals.multihop.corpus import open_corpus
    from memagent.evals.specs import parse_specs

    if "://" in options.retriever:
        yield EndpointSearcher(options.retriever), {"endpoint": options.retriever}
        return
    specs = parse_specs([options.retriever], ())
    folder = cache_folder(options.cache_dir)
    bare = load_encoder(options.encoder, precision=options.precision, cache_dir=folder)
    with (
        cached_encoder(bare, folder, wanted=options.cache) as encoder,
        open_corpus(data.passages, encoder, folder=folder if options.cache else None, specs=specs) as corpus,
    ):
        identity = {
            "files": [file.sha256 for file in data.files],
            "passages": len(data.passages),
            "encoder": encoder.fingerprint,
            "retriever": [specs[0].name, specs[0].params],
        }
        yield corpus.searcher(specs[0].retriever), identity


@contextmanager
def _models(options: TreeOptions, meter: Meter) -> Iterator[tuple[Model, Model]]:
    """Policy and judge, under one budget and with one reply cache."""
    from memagent.llm.model import Model

    with reply_cache(cache_folder(options.cache_dir) if options.cache else None) as cache:
        common: dict[str, Any] = {
            "meter": meter,
            "cache": cache,
            "concurrency": options.concurrency,
            "timeout": options.timeout,
        }
        policy = Model(_chat(options.policy), **common)
        judge = policy if options.judge in (None, options.policy) else Model(_chat(options.judge or ""), **common)
        yield policy, judge


def _chat(name: str) -> Any:
    from memagent.evals.multihop.scripted import WorldModel

    return WorldModel(detours=True) if name == SCRIPTED else name


def _told(grown: Sequence[Tree], meter: Meter, out: Path) -> dict[str, str]:
    nodes = [node for tree in grown for node in tree.nodes if node.step is not None]
    answers = [node for node in nodes if node.answer is not None]
    forced = sum(node.step.action == "force" for node in answers if node.step is not None)
    totals = meter.totals()
    return {
        "trees": str(len(grown)),
        "outputs": str(len(nodes)),
        "answers": f"{len(answers)}, {forced} of them forced",
        "repeated": f"{sum(tree.duplicates for tree in grown)} outputs repeat their sibling",
        "no score": f"{sum(tree.unread for tree in grown)} replies of the judge",
        "calls": f"{totals.calls}, and {totals.cached} replies from the cache",
        "tokens": f"{totals.usage.input} sent, {totals.usage.output} received",
        "file": str(out),
    }
