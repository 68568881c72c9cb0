"""``memagent eval``: evaluation from the command line.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from memagent.evals.ab.augment_command import EXAMPLE as AUGMENT_EXAMPLE
from memagent.evals.ab.augment_command import ab_augment
from memagent.evals.ab.command import EXAMPLE as AB_EXAMPLE
from memagent.evals.ab.command import ab
from memagent.evals.ab.validate_command import EXAMPLE as VALIDATE_EXAMPLE
from memagent.evals.ab.validate_command import ab_validate
from memagent.evals.lsrp.command import EXAMPLE as LSRP_EXAMPLE
from memagent.evals.lsrp.command import lsrp
from memagent.evals.measuring import check_places, made_folder, measure, show_result, stoppable, write_rows
from memagent.evals.multihop.command import EXAMPLE as AGENTIC_RAG_EXAMPLE
from memagent.evals.multihop.command import agentic_rag
from memagent.evals.options import Measuring, with_measuring
from memagent.evals.qa.command import EXAMPLE as QA_EXAMPLE
from memagent.evals.qa.command import qa

app = typer.Typer(no_args_is_help=True)
app.command(epilog=QA_EXAMPLE)(qa)
app.command(epilog=AGENTIC_RAG_EXAMPLE)(agentic_rag)
app.command(epilog=AB_EXAMPLE)(ab)
app.command(epilog=LSRP_EXAMPLE)(lsrp)
app.command(name="ab-augment", epilog=AUGMENT_EXAMPLE)(ab_augment)
app.command(name="ab-validate", epilog=VALIDATE_EXAMPLE)(ab_validate)

_RETRIEVERS = ("dense", "bm25", "hybrid")

_EXAMPLE = """
Example: memagent eval retrieval --dataset locomo --data locomo10.json --retriever dense --retriever bm25
--retriever 'dense\\[by=turn-mean]' --set bm25.k1=1.5 --baseline dense --out result.json
"""
_ABLATION_EXAMPLE = """
Example: memagent eval ablation memgas --dataset locomo --data locomo10.json --summaries dataset
--set memgas.temperature=0.1 --out memgas-ablation
"""


@app.callback()
def main() -> None:
    """Measure retrieval and question answering on public data sets."""


@app.command(epilog=_EXAMPLE)
@with_measuring
def retrieval(
    *,
    measuring: Measuring,
    out: Annotated[Path, typer.Option(help="The result file to write. A stopped run keeps its rows beside it.")],
    retriever: Annotated[
        list[str] | None,
        typer.Option(help="NAME or 'NAME\\[param=value,...]', repeatable. Default: dense, bm25 and hybrid."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The retriever that the others are compared with. Default: the first.")
    ] = None,
) -> None:
    """Store each history once, put its questions to every retriever, and say how often the evidence came back.

    Prints a table; writes every metric, with its interval, by question type, and compared with the baseline,
    to --out. Exit status: 0 done, 2 bad input, 3 stopped (the same command resumes).
    """
    with stoppable():
        from memagent.evals.result import build_result, write_result
        from memagent.evals.specs import baseline_label, parse_specs
        from memagent.evals.table import markdown_table, rich_table

        check_places(out, measuring.per_question)
        specs = parse_specs(retriever or _RETRIEVERS, measuring.set_ or ())
        against = baseline_label(specs, baseline)
        partial = out.with_name(f"{out.name}.partial")
        measured = measure(measuring, specs, partial)
        result = build_result(
            measured.run,
            encoder=measured.encoder,
            encode_ms=measured.encode_ms,
            command=["memagent", *sys.argv[1:]],
            baseline=against,
            seed=measuring.seed,
        )
        write_rows(measuring.per_question, measured.run)
        write_result(out, result)
        partial.unlink(missing_ok=True)
        show_result(result, out, markdown=measuring.markdown, page=markdown_table, table=rich_table)


@app.command(epilog=_ABLATION_EXAMPLE)
@with_measuring
def ablation(
    *,
    method: Annotated[str, typer.Argument(help="What is taken apart, for example rf-mem or memgas.")],
    measuring: Measuring,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write to. A stopped run keeps its rows there.")
    ],
    baseline: Annotated[
        str | None,
        typer.Option(help="The retriever that everything is set beside. Default: dense\\[by=session]."),
    ] = None,
) -> None:
    """Take a method apart: run it, its baseline, and variants without a part or with other parameters, in one run.

    Prints a table for each group of variants. Writes ablation.md with more metrics and with plots, ablation.json
    with all of them, each with its interval and its paired difference to the whole method and to the baseline.
    --set NAME.param=value holds for the method and for all variants that do not vary it. Exit status: 0 done,
    2 bad input, 3 stopped (the same command resumes).
    """
    with stoppable():
        from memagent.evals.ablation import build_ablation, resolve, write_ablation
        from memagent.evals.ablation_plans import plan_of

        plan = plan_of(method)
        resolved = resolve(plan, measuring.set_ or (), baseline=baseline)
        folder = made_folder(out)
        check_places(measuring.per_question)
        partial = folder / "rows.partial"
        measured = measure(measuring, resolved.specs, partial)
        command = ["memagent", *sys.argv[1:]]
        result = build_ablation(measured, plan, resolved, command=command, seed=measuring.seed)
        write_rows(measuring.per_question, measured.run)
        write_ablation(folder, result)
        partial.unlink(missing_ok=True)
        _show_ablation(result, folder, markdown=measuring.markdown)


def _show_ablation(result: Mapping[str, Any], folder: Path, *, markdown: bool) -> None:
    from rich.console import Console

    from memagent.evals.ablation_table import markdown_page, show

    if markdown:
        typer.echo(markdown_page(result), nl=False)
    else:
        show(result, Console())
    typer.echo(f"Written to {folder / 'ablation.md'} and {folder / 'ablation.json'}", err=True)
