"""``memagent calibrate``: fit a retriever's thresholds to an encoder.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from memagent.cli.opening import must_exist, opened_with
from memagent.cli.output import say, write_fields
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.evals.options import Measuring
    from memagent.retrievers.calibration import Calibration
    from memagent.retrievers.rf_mem import RFMem

app = typer.Typer(no_args_is_help=True)

_EXAMPLE = """
Example: memagent calibrate rf-mem --dataset locomo --data locomo10.json --out thresholds.json; or without labels
memagent calibrate rf-mem --store memagent-store --out thresholds.json; then
memagent search 'Which tea?' --user ann --retriever 'rf-mem\\[calibration=thresholds.json]'
"""
_WITH, _WITHOUT, _ENCODER = "With labels", "Without labels", "Encoder"
_MESSAGES = 200


class _Source(NamedTuple):
    """A store, and what of it is looked at."""

    store: Path
    users: Sequence[str]
    share: float | None
    messages: int
    granularity: Literal["session", "turn"]


@app.callback()
def main() -> None:
    """Fit a retriever's thresholds to an encoder, and write them to a file that it loads."""


@app.command("rf-mem", epilog=_EXAMPLE)
def rf_mem(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    granularity: Annotated[
        Literal["session", "turn"] | None,
        typer.Option("--granularity", "-g", help="Default: session for a data set, turn for a store."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="The first N questions of a data set; N messages of each user (default 200)."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="rf-mem.PARAM=VALUE", help="Another setting of the retriever; repeatable."),
    ] = None,
    dataset: Annotated[
        Literal["longmemeval", "locomo", "personabench", "demo"] | None,
        typer.Option(help="Fit to the questions of a data set; demo is bundled.", rich_help_panel=_WITH),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A file of it, repeatable; PersonaBench: its folder.", rich_help_panel=_WITH),
    ] = None,
    categories: Annotated[
        str, typer.Option(metavar="N,N,...", help="LoCoMo: the categories to use.", rich_help_panel=_WITH)
    ] = "1,2,3,4",
    session_vectors: Annotated[
        Literal["text", "mean"],
        typer.Option(help="A session's own vector, as in `memagent eval`.", rich_help_panel=_WITH),
    ] = "text",
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Fit to a store: users' later messages are taken for questions about what was said before.",
            rich_help_panel=_WITHOUT,
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "-u", metavar="ID", help="Repeatable. Default: all.", rich_help_panel=_WITHOUT),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The share of them that should recollect. Default: as published, 0.47 by turn, 0.77 by session.",
            rich_help_panel=_WITHOUT,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The encoder to fit to. Default: all-MiniLM-L6-v2.", rich_help_panel=_ENCODER
        ),
    ] = None,
    precision: Annotated[Literal["float32", "int8"], typer.Option(rich_help_panel=_ENCODER)] = "float32",
    long_text: Annotated[
        Literal["windows", "truncate"],
        typer.Option(help="Text longer than it sees at once.", rich_help_panel=_ENCODER),
    ] = "windows",
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEMAGENT_CACHE",
            help="Where its ONNX file, and with labels embeddings, are kept. Default: the user's cache folder.",
            rich_help_panel=_ENCODER,
        ),
    ] = None,
) -> None:
    """Choose theta_high, theta_low, tau and alpha for an encoder, and write them to a small file.

    With a data set: those with the best recall_all@5, and how good they are on conversations that they were not chosen
    by. With a store: those that send the stated share of messages to recollection; of quality nothing is known
    then. Exit status: 0 done, 2 bad input, 3 stopped (the same command resumes).
    """
    from memagent.evals.measuring import check_places, stoppable
    from memagent.evals.options import Measuring
    from memagent.evals.rows import write_text

    check_places(out)
    with stoppable():
        if dataset is not None and store is not None:
            raise InvalidInput("--dataset and --store are two ways to calibrate", hint="pass one of them")
        if dataset is not None:
            measuring = Measuring(
                dataset=dataset,
                data=data,
                set_=set_,
                encoder=encoder,
                precision=precision,
                long_text=long_text,
                session_vectors=session_vectors,
                granularity=granularity or "session",
                categories=categories,
                limit=limit,
                cache_dir=cache_dir,
            )
            found = _with_labels(measuring, out)
        elif store is not None:
            from memagent.encoders import load_encoder
            from memagent.encoders.files import default_cache_dir

            source = _Source(store, user or (), share, limit or _MESSAGES, granularity or "turn")
            must_exist(store)
            folder = cache_dir or default_cache_dir()
            loaded = load_encoder(encoder, precision=precision, long_text=long_text, cache_dir=folder)
            found = _without_labels(source, loaded, set_ or ())
        else:
            raise InvalidInput("there is nothing to calibrate with", hint="pass --dataset or --store")
    write_text(out, found.as_json())
    _show(found)
    say(f"Written to {out}")


def _with_labels(measuring: Measuring, out: Path) -> Calibration:
    from memagent.evals.calibrate import calibrate_labelled, specs_to_run
    from memagent.evals.measuring import measure
    from memagent.evals.specs import parse_specs

    specs = parse_specs(specs_to_run(), measuring.set_ or ())
    partial = out.with_name(f"{out.name}.partial")
    measured = measure(measuring, specs, partial)
    found = calibrate_labelled(measured.run, str(measured.encoder["fingerprint"]))
    partial.unlink(missing_ok=True)
    return found


def _without_labels(source: _Source, encoder: Encoder, settings: Sequence[str]) -> Calibration:
    from memagent.evals.calibrate import SHARES, calibrate_shares
    from memagent.evals.calibrate_store import later_messages, signals_of_messages
    from memagent.evals.demo.command import progress
    from memagent.evals.specs import parse_specs

    retriever: RFMem = parse_specs(["rf-mem"], settings)[0].retriever  # type: ignore[assignment]  # by its name
    with opened_with(source.store, encoder) as memory, progress() as tell:
        users = tuple(source.users) or tuple(memory.users())
        asked = later_messages(source.store, users, source.messages)
        signals = signals_of_messages(memory, asked, retriever, source.granularity, tell)
    return calibrate_shares(
        retriever,
        signals,
        encoder=encoder.fingerprint,
        granularity=source.granularity,
        share=SHARES[source.granularity] if source.share is None else source.share,
        users=len(users),
    )


def _show(found: Calibration) -> None:
    """The thresholds and what is known of them, one a line."""
    measured = found.measured
    fields = {
        "granularity": found.granularity,
        "theta_high": f"{found.theta_high:g}",
        "theta_low": f"{found.theta_low:g}",
        "tau": f"{found.tau:g}",
        "alpha": f"{found.alpha:g}",
        "recollecting": f"{measured['recollecting']:.0%}",
    }
    if "measure" in measured:
        name = measured["measure"]
        fields[f"{name} of familiarity"] = f"{100 * measured['familiarity']:.1f}"
        fields[f"{name} of recollection"] = f"{100 * measured['recollection']:.1f} (its best alpha, same questions)"
        fields[f"{name} as fitted"] = f"{100 * measured['fitted']:.1f} (same questions)"
        fields[f"{name} held out"] = _held_out(measured["held_out"])
    write_fields(fields)


def _held_out(found: dict[str, Any] | None) -> str:
    if found is None:
        return "unknown: the questions are of one conversation"
    difference = found["against_familiarity"]
    low, high = (f"{100 * difference[end]:+.1f}" for end in ("low", "high"))
    return f"{100 * found['gated']:.1f}, {100 * difference['diff']:+.1f} [{low}, {high}] against familiarity"
