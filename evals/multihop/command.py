"""``memagent eval agentic-rag``: from the options to a finished run and its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memagent.errors import InvalidInput
from memagent.evals.measuring import (
    cache_folder,
    cached_encoder,
    check_places,
    prices_of,
    progress_bar,
    reply_cache,
    show_result,
    stoppable,
)
from memagent.evals.multihop.options import HopOptions
from memagent.evals.options import with_options

if TYPE_CHECKING:
    from memagent.agents.reason_rag.searching import Searcher
    from memagent.agents.reason_rag.steps import StepSettings
    from memagent.evals.multihop.questions import HopSet
    from memagent.evals.multihop.running import HopRun
    from memagent.evals.retrieval import Progress
    from memagent.evals.specs import RetrieverSpec
    from memagent.llm.meter import Meter
    from memagent.llm.model import Model

SCRIPTED = "scripted"
ORACLE_TOP_KS = (1, 2, 3, 5)
"""Passages that the oracle finds with each search."""

EXAMPLE = """
Example: memagent eval agentic-rag --dataset musique --data musique.questions.jsonl --data musique.corpus.jsonl
--reader http://localhost:8000/v1 --retriever hybrid --rounds 0,1,2,4,8 --out result.json; without a model:
memagent eval agentic-rag --dataset world --reader scripted --out result.json
"""


@with_options(HopOptions, "options")
def agentic_rag(
    *,
    options: HopOptions,
    out: Annotated[Path, typer.Option(help="The result file to write. A stopped run keeps its rows beside it.")],
) -> None:
    """Answer multi-hop questions by an agent that searches, and by baselines, over the data set's passages.

    Prints a table; writes EM, F1, recall of the gold passages over the whole trajectory, searches, tokens and times
    with intervals, by type, and compared with one search, to --out. Exit status: 0 done, 1 the model failed, 2 bad
    input, 3 stopped or the budget is spent (the same command resumes).
    """
    with stoppable():
        from memagent.evals.multihop.table import markdown_page, rich_table

        check_places(out, options.per_question)
        if options.oracle == (options.reader is not None):
            raise InvalidInput("name a --reader, or use --oracle", hint="one of the two")
        result = _oracle_result(options, out) if options.oracle else _result(options, out)
        show_result(result, out, markdown=options.markdown, page=markdown_page, table=rich_table)


def _result(options: HopOptions, out: Path) -> dict[str, Any]:
    from memagent.evals.multihop.choosing import DEFAULT, chosen_systems, round_numbers
    from memagent.evals.multihop.result import build_result, compared
    from memagent.evals.multihop.running import run_hops
    from memagent.evals.result import write_result
    from memagent.llm.meter import Budget, Meter

    data = _data(options, answerable=True)
    meter = Meter(Budget(calls=options.budget_calls, tokens=options.budget_tokens, cost=options.budget_cost))
    partial = out.with_name(f"{out.name}.partial")
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar())
        model = stack.enter_context(_model(options, meter))
        place = stack.enter_context(_opened(options, data, progress))
        systems = chosen_systems(
            options.system or DEFAULT,
            place.searchers,
            settings=_settings(options).within(model.window),
            rounds=round_numbers(options.rounds),
        )
        against = compared([system.label for system in systems], options.baseline)
        run = run_hops(
            data,
            systems,
            model,
            depends_on={"encoder": place.fingerprint, "retrievers": place.params},
            limit=options.limit,
            concurrency=options.concurrency,
            partial=partial,
            progress=progress,
        )
        result = build_result(
            run,
            model={"name": options.reader, "identity": model.identity},
            totals=meter.totals(),
            prices=prices_of(options.reader_price),
            encoder=place.encoder,
            command=["memagent", *sys.argv[1:]],
            against=against,
            seed=options.seed,
        )
    _write_rows(options.per_question, run)
    write_result(out, result)
    partial.unlink(missing_ok=True)
    return result


def _write_rows(path: Path | None, run: HopRun) -> None:
    from memagent.evals.rows import write_text

    if path:
        write_text(path, "".join(row.as_json() + "\n" for row in run.rows))


def _oracle_result(options: HopOptions, out: Path) -> dict[str, Any]:
    from memagent.evals.multihop.oracle import run_oracle
    from memagent.evals.multihop.result import build_result
    from memagent.evals.result import write_result

    data = _data(options, answerable=False)
    with progress_bar() as progress, _opened(options, data, progress) as place:
        run, against = run_oracle(data, place.searchers, top_ks=ORACLE_TOP_KS, limit=options.limit, progress=progress)
        result = build_result(
            run,
            model=None,
            against=against,
            encoder=place.encoder,
            command=["memagent", *sys.argv[1:]],
            seed=options.seed,
        )
    _write_rows(options.per_question, run)
    write_result(out, result)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the systems search: a searcher for each retriever, and what the rows depend on."""

    searchers: Mapping[str, Searcher]
    params: Mapping[str, Any]
    encoder: Mapping[str, Any] | None
    fingerprint: str


@contextmanager
def _opened(options: HopOptions, data: HopSet, progress: Progress) -> Iterator[_Place]:
    """The corpus, stored and opened, with a searcher for each retriever; the corpus only if one of them needs it."""
    from memagent.agents.reason_rag.endpoint import EndpointSearcher
    from memagent.encoders import load_encoder
    from memagent.evals.multihop.corpus import open_corpus
    from memagent.evals.result import encoder_facts
    from memagent.evals.specs import parse_specs

    named = options.retriever or ["hybrid"]
    urls = [name for name in named if "://" in name]
    searchers: dict[str, Searcher] = {url: EndpointSearcher(url) for url in urls}
    own = [name for name in named if name not in urls]
    if not own:
        yield _Place(searchers=searchers, params={"endpoints": urls}, encoder=None, fingerprint="")
        return
    specs = parse_specs(own, options.set_ or ())
    folder = cache_folder(options.cache_dir)
    bare = load_encoder(options.encoder, precision=options.precision, cache_dir=folder)
    with cached_encoder(bare, folder, wanted=options.cache) as encoder:
        kept = folder if options.cache else None
        with open_corpus(
            data.passages, encoder, folder=kept, specs=specs, say=lambda doing: progress(0, 1, doing)
        ) as corpus:
            searchers |= {spec.label: corpus.searcher(spec.retriever) for spec in specs}
            params: dict[str, Any] = {"endpoints": urls, **_params(specs)}
            facts = encoder_facts(bare, precision=options.precision)
            yield _Place(searchers=searchers, params=params, encoder=facts, fingerprint=encoder.fingerprint)


def _params(specs: Sequence[RetrieverSpec]) -> dict[str, Any]:
    return {spec.label: [spec.name, spec.params] for spec in specs}


def _data(options: HopOptions, *, answerable: bool) -> HopSet:
    from memagent.evals.multihop.files import load_hops

    if options.reader == SCRIPTED and options.dataset != "world":
        raise InvalidInput(
            f"the scripted reader cannot read the questions of {options.dataset}",
            hint="use it with --dataset world, or name a model",
        )
    return load_hops(options.dataset, options.data or (), split=options.split, answerable=answerable)


def _settings(options: HopOptions) -> StepSettings:
    from memagent.agents.reason_rag.steps import StepSettings

    return StepSettings(top_k=options.top_k, max_tokens=options.max_tokens, max_prompt_tokens=options.max_prompt_tokens)


@contextmanager
def _model(options: HopOptions, meter: Meter) -> Iterator[Model]:
    """The reader, with a reply cache if one is wanted."""
    from memagent.evals.multihop.scripted import WorldModel
    from memagent.llm.model import Model

    with reply_cache(cache_folder(options.cache_dir) if options.cache else None) as cache:
        yield Model(
            WorldModel() if options.reader == SCRIPTED else options.reader or "",
            prices=prices_of(options.reader_price),
            meter=meter,
            cache=cache,
            concurrency=options.concurrency,
            timeout=options.timeout,
        )
