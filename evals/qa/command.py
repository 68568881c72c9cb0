"""``memagent eval qa``: from the options to a finished run and its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memagent.errors import InvalidInput
from memagent.evals.measuring import (
    cache_folder,
    cached_encoder,
    category_numbers,
    check_places,
    prices_of,
    progress_bar,
    reply_cache,
    show_result,
    stoppable,
)
from memagent.evals.options import with_options
from memagent.evals.qa.options import QaOptions

if TYPE_CHECKING:
    from memagent.evals.datasets import Dataset
    from memagent.evals.qa.result import Asked
    from memagent.evals.qa.running import QaRun
    from memagent.evals.qa.settings import QaSettings
    from memagent.llm.meter import Meter, Prices
    from memagent.llm.model import Model

SCRIPTED = "scripted"

EXAMPLE = """
Example: memagent eval qa --dataset longmemeval --data longmemeval_s.json --reader http://localhost:8000/v1
--judge openai:gpt-4o --retriever hybrid --granularity session --top-k 3 --out result.json --hypotheses hyp.jsonl
"""


@with_options(QaOptions, "options")
def qa(
    *,
    options: QaOptions,
    out: Annotated[Path, typer.Option(help="The result file to write. A stopped run keeps its rows beside it.")],
) -> None:
    """Answer a data set's questions from what a retriever finds, and have the answers judged.

    Prints a table by question type; writes every figure to --out, a row for each question to --per-question, and the
    answers alone to --hypotheses. Exit status: 0 done, 1 the model failed, 2 bad input, 3 stopped or the budget is
    spent (the same command resumes).
    """
    with stoppable():
        from memagent.evals.qa.result import build_result
        from memagent.evals.qa.serving import Served
        from memagent.evals.qa.table import markdown_page, rich_table
        from memagent.evals.result import write_result
        from memagent.evals.rows import write_text
        from memagent.llm.meter import Budget, Meter

        check_places(out, options.per_question, options.hypotheses)
        _check_prices(options)
        settings = _settings(options)
        dataset = _dataset(options)
        meter = Meter(Budget(calls=options.budget_calls, tokens=options.budget_tokens, cost=options.budget_cost))
        partial = out.with_name(f"{out.name}.partial")
        with _models(options, dataset, meter) as (reader, judge):
            asked = {"reader": _asked(options.reader, reader, prices_of(options.reader_price))}
            if judge:
                asked["judge"] = _asked(options.judge or "", judge, prices_of(options.judge_price))
            served = Served({role: model.name for role, model in asked.items()})
            run, encoder = _run(options, settings, dataset, reader, judge, partial)
            result = build_result(
                run,
                encoder=encoder,
                reader=asked["reader"],
                judge=asked.get("judge"),
                totals=meter.totals(),
                prefix_cache=served.prefix_cache(),
                command=["memagent", *sys.argv[1:]],
                seed=options.seed,
                bert=_bert(options),
            )
        if options.per_question:
            write_text(options.per_question, "".join(row.as_json() + "\n" for row in run.rows))
        if options.hypotheses:
            write_text(options.hypotheses, "".join(row.as_hypothesis() + "\n" for row in run.rows))
        write_result(out, result)
        partial.unlink(missing_ok=True)
        show_result(result, out, markdown=options.markdown, page=markdown_page, table=rich_table)


def _settings(options: QaOptions) -> QaSettings:
    from memagent.answering.steps import AnswerSettings
    from memagent.evals.qa.asking import parse_source
    from memagent.evals.qa.settings import QaSettings
    from memagent.evals.specs import units_used

    source = parse_source(options.retriever, options.set_ or ())
    needs_summaries = bool(units_used(source.specs)) or options.granularity in ("summary", "keywords")
    return QaSettings(
        top_k=options.top_k,
        granularity=options.granularity,
        answer=AnswerSettings(
            max_tokens=options.max_tokens,
            reply_tokens=options.reply_tokens,
            form=options.form,
            filter=options.filter,
        ),
        criteria=options.judge_criteria,
        adversarial=options.adversarial,
        as_of=options.as_of,
        session_vectors=options.session_vectors,
        summaries=options.summaries or ("extractive" if needs_summaries else "none"),
        limit=options.limit,
    )


def _dataset(options: QaOptions) -> Dataset:
    from memagent.evals.datasets import load_dataset

    return load_dataset(
        options.dataset,
        options.data or (),
        text=options.text,
        categories=category_numbers(options.categories),
    )


def _run(
    options: QaOptions, settings: QaSettings, dataset: Dataset, reader: Model, judge: Model | None, partial: Path
) -> tuple[QaRun, dict[str, Any]]:
    """The finished run, and what its result says about the encoder."""
    from memagent.encoders import load_encoder
    from memagent.evals.qa.asking import parse_source
    from memagent.evals.qa.running import run_qa
    from memagent.evals.result import encoder_facts

    folder = cache_folder(options.cache_dir)
    bare = load_encoder(options.encoder, precision=options.precision, long_text=options.long_text, cache_dir=folder)
    with cached_encoder(bare, folder, wanted=options.cache) as encoder, progress_bar() as progress:
        run = run_qa(
            dataset,
            parse_source(options.retriever, options.set_ or ()),
            encoder,
            reader=reader,
            judge=judge,
            settings=settings,
            concurrency=options.concurrency,
            partial=partial,
            progress=progress,
        )
    return run, encoder_facts(bare, precision=options.precision, long_text=options.long_text)


@contextmanager
def _models(options: QaOptions, dataset: Dataset, meter: Meter) -> Iterator[tuple[Model, Model | None]]:
    """Reader and judge, under one budget and with one reply cache."""
    from memagent.evals.qa.oracle import OracleJudge, OracleReader
    from memagent.llm.model import Model

    with reply_cache(cache_folder(options.cache_dir) if options.cache else None) as cache:
        common: dict[str, Any] = {
            "meter": meter,
            "cache": cache,
            "concurrency": options.concurrency,
            "timeout": options.timeout,
            "thinking_tokens": options.thinking_tokens,
        }
        scripted_reader = OracleReader(dataset, options.granularity) if options.reader == SCRIPTED else None
        reader = Model(scripted_reader or options.reader, prices=prices_of(options.reader_price), **common)
        judge = None
        if options.judge:
            scripted_judge = OracleJudge() if options.judge == SCRIPTED else None
            judge = Model(scripted_judge or options.judge, prices=prices_of(options.judge_price), **common)
        yield reader, judge


def _asked(name: str, model: Model, prices: Prices | None) -> Asked:
    from memagent.evals.qa.result import Asked

    return Asked(name=name, identity=model.identity, prices=prices)


def _check_prices(options: QaOptions) -> None:
    """Refuse what would end the run after its first call."""
    asked = {"--reader-price": options.reader_price}
    if options.judge:
        asked["--judge-price"] = options.judge_price
    missing = [name for name, price in asked.items() if prices_of(price) is None]
    if options.budget_cost is not None and missing:
        raise InvalidInput("--budget-cost needs prices", hint=f"pass {' and '.join(missing)} IN,OUT, 0,0 if it is free")


def _bert(options: QaOptions) -> Any:
    from memagent.evals.qa.texts import BertModel

    return BertModel(name=options.bertscore, layers=options.bertscore_layers) if options.bertscore else None
