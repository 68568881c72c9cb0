"""``memagent eval ab-augment``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.evals.measuring import made_folder, stoppable

if TYPE_CHECKING:
    from memagent.evals.ab.augmenting import Augmentation

EXAMPLE = """
Example: memagent eval ab-augment --config augment.yaml --out ab-augmented

augment.yaml: {data: {kind: ml-100k, path: ml-100k}, arms: \\[popularity, item-knn], users: 943,
augment: {models: \\[fm, deepfm], reference: svd, rank_limit: 100}}
"""


def ab_augment(
    *,
    config: Annotated[Path, typer.Option(help="The experiment and who learns from it, as YAML. Paths are relative.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write to. What a stopped run made is kept there.")
    ],
    cache: Annotated[
        Path | None, typer.Option(help="Where trained arms are kept. Default: the folder arms in --out.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print everything as Markdown.")] = False,
) -> None:
    """Do click models get better when simulated clicks are added to what they learn from?

    Trains each model with nothing, clicks, views, those that pass the fidelity filter, and as many random rows added,
    for each seed. Writes augmentation.md and augmentation.json: test AUC, its change and intervals. Exit status: 0 done
    (whatever came out), 2 bad input, 3 stopped (the same command resumes).
    """
    with stoppable():
        from memagent.evals.ab.augmenting import augment
        from memagent.evals.ab.augmenting_config import Augmented
        from memagent.evals.ab.config import read_config
        from memagent.evals.ab.running import prepare

        settings = read_config(config, Augmented)
        folder = made_folder(out)
        prepared = prepare(settings, base=config.parent, cache=cache or folder / "arms", say=_say, out=folder)
        with prepared.usage.spending():
            result = augment(settings, prepared, folder, say=_say)
        _write(result, folder)
        _show(result, folder, markdown=markdown)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _write(result: Augmentation, folder: Path) -> None:
    from memagent.evals.ab.augment_table import as_dict, markdown
    from memagent.files import replacing

    text = json.dumps(as_dict(result), indent=1, ensure_ascii=False) + "\n"
    for name, content in (("augmentation.json", text), ("augmentation.md", markdown(result))):
        with replacing(folder / name, mode=0o666) as temporary:
            temporary.write_text(content, encoding="utf-8")


def _show(result: Augmentation, folder: Path, *, markdown: bool) -> None:
    from memagent.evals.ab import augment_table

    if markdown:
        typer.echo(augment_table.markdown(result))
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console()
        for rows in (augment_table.auc_rows(result), augment_table.between_rows(result)):
            table = Table()
            for column in rows[0]:
                table.add_column(column)
            for row in rows[1:]:
                table.add_row(*map(escape, row))
            console.print(table)
    typer.echo(f"Written to {folder / 'augmentation.md'} and augmentation.json", err=True)
