"""Commands about what a language model writes: infer, status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.cli import options, output
from memagent.cli.failures import STORE_FAILED
from memagent.cli.opening import load, must_exist, opened_with, opened_without_encoder
from memagent.errors import Stopped

if TYPE_CHECKING:
    from memagent.memory.replies import Inference

Everybody = Annotated[
    str | None, typer.Option("--user", "-u", metavar="ID", help="Only this user. Default: everybody.")
]


def infer(
    *,
    model: options.ModelName,
    user: Everybody = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="What has failed, too.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="At most so long.")] = None,
    store: options.Store = options.DEFAULT_STORE,
    encoder: options.EncoderName = None,
    precision: options.Precision = "float32",
    long_text: options.LongText = "windows",
    as_json: options.Json = False,
) -> None:
    """Have a language model write the facts, summaries and keywords that are queued.

    It can be stopped: the same command goes on. Exit status 1 if something has failed, 3 if the time was too short.
    """
    must_exist(store)
    with opened_with(store, load(encoder, precision, long_text), model=model) as memory:
        if retry_failed:
            memory.retry_failed(user_id=user)
        try:
            with _bar() as show:
                found = memory.wait(user_id=user, timeout=timeout, progress=show)
        except KeyboardInterrupt:
            raise Stopped("stopped; what was written stays", hint="the same command goes on") from None
    show_inference(found, as_json=as_json)
    if left := found["queued"] + found["running"]:
        raise Stopped(f"{output.plural(left, 'job')} left", hint="the same command goes on")
    if found["failed"]:
        raise typer.Exit(STORE_FAILED)


@contextmanager
def _bar() -> Iterator[Callable[[Inference], None]]:
    """A progress bar on stderr, and what shows how far the work is."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("writing", total=None)
        before: list[int] = []

        def show(found: Inference) -> None:
            before.append(found["done"] + found["failed"])
            done = before[-1] - before[0]
            progress.update(task, completed=done, total=done + found["queued"] + found["running"])

        yield show


def status(
    *, user: Everybody = None, store: options.Store = options.DEFAULT_STORE, as_json: options.Json = False
) -> None:
    """Show what a language model has written and is still to write, and what went wrong."""
    with opened_without_encoder(store) as memory:
        found = memory.inference(user_id=user)
    show_inference(found, as_json=as_json)


def show_inference(found: Inference, *, as_json: bool) -> None:
    """Write how far a language model is."""
    if as_json:
        output.write_json(found)
        return
    counts = {
        "queued": found["queued"],
        "running": found["running"],
        "failed": found["failed"],
        "done": found["done"],
        "sessions still open": found["open"],
        "ignored in replies": found["ignored"],
    }
    output.write_fields({name: f"{count:,}" for name, count in counts.items()})
    rows = [
        (job["user_id"], job["session_id"], job["kind"], job["state"], str(job["attempts"]), job["reason"])
        for job in found["problems"]
    ]
    if rows:
        output.write_table(("user", "session", "kind", "state", "attempts", "reason"), rows, wrap="reason")
