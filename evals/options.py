"""The options that commands which run retrievers over a data set share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_type_hints

import typer

EncoderName: TypeAlias = Annotated[
    str | None, typer.Option(help="A sentence-transformers model, by name or path. Default: all-MiniLM-L6-v2.")
]
Precision: TypeAlias = Annotated[Literal["float32", "int8"], typer.Option(help="Of the encoder.")]
SetParams: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", help="NAME.param=value, for every retriever of that name; repeatable.")
]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
CallTimeout: TypeAlias = Annotated[float, typer.Option(min=1, help="Seconds for one call of a model.")]
BudgetCalls: TypeAlias = Annotated[int | None, typer.Option(min=0, help="The most calls of this run.")]
BudgetTokens: TypeAlias = Annotated[int | None, typer.Option(min=0, help="The most tokens, sent and received.")]
BudgetCost: TypeAlias = Annotated[
    float | None, typer.Option(min=0, help="The most it may cost, in the currency of the prices.")
]
ReaderPrice: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="IN,OUT", help="What a million tokens of the reader cost, for example 0.15,0.6."),
]
RepliesKept: TypeAlias = Annotated[
    bool, typer.Option(help="Keep embeddings and replies, so that a second run encodes nothing and asks nobody.")
]
CacheFolder: TypeAlias = Annotated[
    Path | None,
    typer.Option(envvar="MEMAGENT_CACHE", help="Where they are kept. Default: the user's cache folder."),
]
Markdown: TypeAlias = Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What is stored, with which encoder, and what is written: a field is an option (see :func:`with_options`)."""

    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of the data set (.json, .jsonl, either with .gz), repeatable; PersonaBench: its folder."
        ),
    ] = None
    set_: SetParams = None
    encoder: EncoderName = None
    precision: Precision = "float32"
    long_text: Annotated[
        Literal["windows", "truncate"],
        typer.Option(
            help="Text longer than the encoder sees at once: embed all of it in windows, or cut it. Published "
            "figures, and the reference figures of this project, cut."
        ),
    ] = "windows"
    session_vectors: Annotated[
        Literal["text", "mean"],
        typer.Option(help="A session's own vector: that of its whole text, or the mean of its turns'."),
    ] = "text"
    text: Annotated[
        Literal["both_roles", "user_turns_only"],
        typer.Option(help="What is stored; user_turns_only is LongMemEval's own variant."),
    ] = "both_roles"
    summaries: Annotated[
        Literal["none", "extractive", "dataset"] | None,
        typer.Option(
            help="The summaries and keywords of sessions, for retrievers that use them: extracted from their text; or "
            "the data set's own summaries (LoCoMo), keywords extracted. Default: extractive if a retriever uses "
            "them, else none."
        ),
    ] = None
    categories: Annotated[
        str, typer.Option(metavar="N,N,...", help="LoCoMo: the categories of questions to score, out of 1 to 5.")
    ] = "1,2,3,4"
    as_of: Annotated[
        Literal["none", "question"],
        typer.Option(help="question: each question sees only what was said before its date."),
    ] = "none"
    seed: Seed = 0
    limit: Annotated[int | None, typer.Option(min=1, help="Score the first N questions only.")] = None
    per_question: Annotated[
        Path | None, typer.Option(help="Also write a row for each question and retriever, as JSON Lines.")
    ] = None
    cache: Annotated[bool, typer.Option(help="Keep embeddings, so that a second run encodes nothing.")] = True
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEMAGENT_CACHE",
            help="Where they, and the encoder's ONNX file, are kept. Default: the user's cache folder.",
        ),
    ] = None
    markdown: Markdown = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring(Common):
    """What is stored, asked and scored, and with which encoder."""

    dataset: Annotated[
        Literal["longmemeval", "locomo", "personabench", "demo"],
        typer.Option(help="The data set; demo is bundled and needs no --data."),
    ]
    granularity: Annotated[Literal["session", "turn"], typer.Option(help="The units that are ranked and scored.")] = (
        "session"
    )
    noise: Annotated[str, typer.Option(help="PersonaBench: the level of noise.")] = "0.0"


def with_options(kind: type[Any], parameter: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces the ``parameter`` of a command by an option for each field of the dataclass ``kind``."""
    kinds = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=kinds[field.name],
        )
        # Those without which nothing goes come first in the help.
        for field in sorted(fields(kind), key=lambda field: field.default is not MISSING)
    ]

    def expand(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != parameter]

        def expanded(**values: Any) -> None:
            made = kind(**{name: values.pop(name) for name in names})
            command(**{parameter: made}, **values)

        expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
        # What inspect, and so Typer, takes for the signature.
        expanded.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        return expanded

    return expand


with_measuring = with_options(Measuring, "measuring")
