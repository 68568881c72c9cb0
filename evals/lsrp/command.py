"""``memagent eval lsrp``: from the options to a finished run and its files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from memagent.errors import InvalidInput
from memagent.evals.lsrp.options import LsrpOptions
from memagent.evals.measuring import cache_folder, check_places, progress_bar, show_result, stoppable
from memagent.evals.options import with_options

EXAMPLE = """
Example: memagent eval lsrp --dataset movieexp --data test.json --train train.json --leader http://localhost:8000/v1
--device-model http://localhost:8001/v1 --judge openai:gpt-5-mini --k 1,3,5,10 --out lsrp.json; without a model:
memagent eval lsrp --leader scripted --out lsrp.json
"""


@with_options(LsrpOptions, "options")
def lsrp(
    *,
    options: LsrpOptions,
    out: Annotated[Path, typer.Option(help="The result file to write. A stopped run keeps its replies beside it.")],
) -> None:
    """Have tasks written by a small model under each strategy of a leader, and by baselines; compare ways to choose.

    Every strategy is run on every task once, and what a chooser picks is looked up there. Prints a table; writes UDRR,
    PPL, judged relevance and personalization, leakage and regret with intervals, and compared with one system, to
    --out. Exit status: 0 done, 1 a model failed, 2 bad input, 3 stopped or the budget is spent (the same command
    resumes, and asks nothing again).
    """
    with stoppable():
        from memagent.evals.lsrp.making import cast_of
        from memagent.evals.lsrp.running import run_lsrp
        from memagent.evals.lsrp.table import markdown_page, rich_table
        from memagent.evals.result import write_result
        from memagent.llm.meter import Budget, Meter

        check_places(out, options.per_question, options.save_index)
        partial = out.with_name(f"{out.name}.partial")
        meter = Meter(Budget(calls=options.budget_calls, tokens=options.budget_tokens))
        folder = cache_folder(options.cache_dir) if options.cache else None
        with progress_bar() as progress, cast_of(options, meter, folder=folder) as cast:
            result, rows = run_lsrp(
                options, cast, meter, partial=partial, progress=progress, command=["memagent", *sys.argv[1:]]
            )
        if options.per_question:
            _write_rows(options.per_question, rows)
        write_result(out, result)
        partial.unlink(missing_ok=True)
        show_result(result, out, markdown=options.markdown, page=markdown_page, table=rich_table)


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A row a line, for the owner of the file alone: they hold answers with private data."""
    from memagent.files import replacing

    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", hint="choose another place") from error
