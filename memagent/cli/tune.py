"""``memagent tune``: training data from tree search and from a small model's feedback, and tuning on it.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memagent.cli.output import say, write_fields
from memagent.cli.tune_feedback import EXAMPLE as FEEDBACK_EXAMPLE
from memagent.cli.tune_feedback import feedback
from memagent.cli.tune_trees import EXAMPLE as TREES_EXAMPLE
from memagent.cli.tune_trees import trees
from memagent.evals.measuring import check_places, progress_bar, stoppable

if TYPE_CHECKING:
    from memagent.tuning.measuring import PairMeasure
    from memagent.tuning.settings import DpoSettings

app = typer.Typer(no_args_is_help=True)
app.command(epilog=TREES_EXAMPLE)(trees)
app.command(epilog=FEEDBACK_EXAMPLE)(feedback)

_PAIRS = """
Example: memagent tune pairs --trees trees.jsonl --out pairs.jsonl
"""
_DPO = """
Example: memagent tune dpo --pairs pairs.jsonl --model my-model --out tuned --learning-rate 5e-6
"""
_SCORE = """
Example: memagent tune score --pairs held-out.jsonl --model my-model --adapter tuned/adapter
"""


@app.callback()
def main() -> None:
    """Make training data by tree search or by a small model's feedback, and tune models on preference pairs."""


@app.command(epilog=_PAIRS)
def pairs(
    *,
    trees: Annotated[
        list[Path], typer.Option(metavar="FILE", help="What `memagent tune trees` has written; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="The file of pairs to write, as JSON Lines.")],
    alpha: Annotated[float, typer.Option(help="What an answer loses with each step: F1 * alpha^steps.")] = 0.9,
    margin: Annotated[float, typer.Option(min=0, help="Siblings whose labels differ by less make no pair.")] = 0.01,
    forced: Annotated[bool, typer.Option(help="Label forced answers; the released code drops them.")] = True,
    dataset: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write a Hugging Face dataset (extra tune).")
    ] = None,
) -> None:
    """Label search trees and make preference pairs of siblings. No model is asked: try another alpha at will."""
    from memagent.agents.reason_rag.pairs import all_pairs
    from memagent.agents.reason_rag.tree_log import read_trees
    from memagent.tuning.pairs import write_dataset, write_pairs

    check_places(out)
    grown = [tree for place in trees for tree in read_trees(place)]
    made = all_pairs(grown, alpha=alpha, margin=margin, forced=forced)
    write_pairs(out, made)
    if dataset is not None:
        write_dataset(dataset, made)
    kinds = Counter(pair.kind for pair in made)
    write_fields(
        {"trees": str(len(grown)), "pairs": str(len(made))} | {kind: str(n) for kind, n in kinds.most_common()}
    )
    say(f"Written to {out}" if made else f"No two siblings differ by {margin}: search longer, or ask harder questions")


@app.command(epilog=_DPO)
def dpo(
    *,
    pairs: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Pairs: JSON Lines or a JSON list, also with .gz, and in ShareGPT's shape."),
    ],
    model: Annotated[str, typer.Option(metavar="DIR|NAME", help="The model's folder, or its name on the hub.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to; a stopped run goes on in it.")],
    full: Annotated[bool, typer.Option("--full", help="Tune all weights, not a LoRA adapter.")] = False,
    rank: Annotated[int, typer.Option(min=1, help="Of the adapter.")] = 16,
    lora_alpha: Annotated[int, typer.Option(min=1, help="Of the adapter: its update is scaled by alpha / rank.")] = 32,
    target: Annotated[
        list[str] | None,
        typer.Option(help="A layer that gets an adapter, for example q_proj; repeatable. Default: all."),
    ] = None,
    sft: Annotated[bool, typer.Option("--sft", help="Tune on the chosen outputs first.")] = False,
    sft_epochs: Annotated[float, typer.Option(help="Epochs of that.")] = 1.0,
    sft_learning_rate: Annotated[float, typer.Option(help="Its learning rate.")] = 1e-5,
    beta: Annotated[float, typer.Option(help="How strongly the model is held to what it was.")] = 0.3,
    learning_rate: Annotated[
        float, typer.Option(help="At its highest. Adapters want a higher one, 5e-6 or more.")
    ] = 1e-6,
    schedule: Annotated[Literal["cosine", "linear", "constant"], typer.Option(help="Of the learning rate.")] = "cosine",
    warmup: Annotated[float, typer.Option(help="The share of steps in which it rises.")] = 0.2,
    epochs: Annotated[float, typer.Option(help="How often each pair is seen.")] = 1.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs computed at once.")] = 1,
    accumulation: Annotated[int, typer.Option(min=1, help="Batches a step.")] = 2,
    max_length: Annotated[int, typer.Option(min=1, help="Tokens; longer pairs are left out.")] = 10_000,
    held_out: Annotated[float, typer.Option(help="The share of pairs kept for measuring, whole questions.")] = 0.1,
    measured: Annotated[int, typer.Option(min=1, help="At most so many pairs of either part are measured.")] = 256,
    save_memory: Annotated[bool, typer.Option(help="Compute activations twice rather than keep them.")] = True,
    checkpoint_steps: Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the order and the adapter.")] = 0,
    device: Annotated[Literal["auto", "cpu"], typer.Option(help="auto: a GPU if there is one.")] = "auto",
) -> None:
    """Tune a model to prefer what pairs prefer (DPO), and measure it before and after on held-out pairs.

    Writes DIR/adapter, which `memagent llm serve MODEL --lora NAME=DIR/adapter` serves, or DIR/model with --full, and
    DIR/result.json. The defaults are ReasonRAG's published settings. Exit status: 0 done, 2 bad input, 3 stopped (the
    same command resumes).
    """
    with stoppable():
        from memagent.tuning.pairs import read_pairs
        from memagent.tuning.run import tune_dpo
        from memagent.tuning.settings import DpoSettings, LoraSettings, SftSettings

        lora = None if full else LoraSettings(rank=rank, alpha=lora_alpha, targets=tuple(target or ()))
        settings = DpoSettings(
            beta=beta,
            learning_rate=learning_rate,
            schedule=schedule,
            warmup=warmup,
            epochs=epochs,
            batch_size=batch_size,
            accumulation=accumulation,
            max_length=max_length,
            held_out=held_out,
            lora=lora,
            sft=SftSettings(epochs=sft_epochs, learning_rate=sft_learning_rate) if sft else None,
            seed=seed,
            device=device,
            measured=measured,
            save_memory=save_memory,
            checkpoint_steps=checkpoint_steps,
        )
        with progress_bar() as tell:
            tuned = tune_dpo(
                read_pairs(pairs),
                model,
                out,
                settings=settings,
                progress=lambda doing, done, total: tell(done, total, doing),
            )
        write_fields(
            {
                "pairs": f"{tuned.trained} trained, {tuned.held_out} held out, {tuned.too_long} too long",
                **_measures("before", tuned.before),
                **_measures("after", tuned.after),
                "took": f"{tuned.seconds:.0f} s, {tuned.peak_mib:.0f} MiB",
                "adapter" if lora else "model": str(tuned.folder),
            }
        )


@app.command(epilog=_SCORE)
def score(
    *,
    pairs: Annotated[Path, typer.Option(metavar="FILE", help="Pairs that the adapter was not tuned on.")],
    model: Annotated[str, typer.Option(metavar="DIR|NAME", help="The model's folder, or its name on the hub.")],
    adapter: Annotated[Path | None, typer.Option(metavar="DIR", help="The adapter that is measured.")] = None,
    beta: Annotated[float, typer.Option(help="The scale of the margin.")] = 0.3,
    max_length: Annotated[int, typer.Option(min=1, help="Tokens; longer pairs are left out.")] = 10_000,
    device: Annotated[Literal["auto", "cpu"], typer.Option(help="auto: a GPU if there is one.")] = "auto",
) -> None:
    """Measure how often, and how clearly, a model prefers what pairs prefer, with its adapter against without."""
    with stoppable(), progress_bar() as tell:
        from memagent.tuning.pairs import read_pairs
        from memagent.tuning.run import score_pairs
        from memagent.tuning.settings import DpoSettings

        settings: DpoSettings = replace(DpoSettings(), beta=beta, max_length=max_length, device=device)
        found = score_pairs(
            read_pairs(pairs),
            model,
            adapter=adapter,
            settings=settings,
            progress=lambda doing, done, total: tell(done, total, doing),
        )
    write_fields({kind: _shown(measure) for kind, measure in found.items()})


def _measures(when: str, parts: Mapping[str, PairMeasure]) -> dict[str, str]:
    return {f"{when}, {name.replace('_', ' ')}": _shown(measure) for name, measure in parts.items()}


def _shown(measure: PairMeasure) -> str:
    return (
        f"accuracy {measure.accuracy:.3f}, margin {measure.margin:+.3f}, chosen likelier {measure.likelier:.3f} "
        f"({measure.pairs} pairs)"
    )
