"""What the demo prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memagent.evals.demo.asking import RETRIEVERS
from memagent.evals.demo.findings import about_abstention, by_language, clip, comparisons, interval, percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from memagent.evals.demo.running import DemoRun
    from memagent.evals.demo.walkthrough import Example, ShownHit, WorkedSearch

METRICS = ("recall_all@3", "recall_all@5", "recall_any@5", "ndcg_any@10", "mrr")
_STYLES = {"dense": "blue", "bm25": "yellow", "hybrid": "green"}
_CLIP = 190


def show(demo: DemoRun, console: Console) -> None:
    """Print everything but the report's place."""
    from rich.text import Text

    stored = demo.stored
    console.print(
        f"Stored [bold]{stored.sessions}[/] sessions, [bold]{stored.messages}[/] messages of {len(stored.units)} users "
        f"as {stored.count('turn')} turns in {stored.store_seconds:.1f} s, {stored.messages_per_second:.0f} a second; "
        f"{stored.count('summary')} summaries and {stored.count('keywords')} lists of keywords in "
        f"{stored.derive_seconds:.1f} s.",
        highlight=False,
    )
    console.print()
    console.print(results_table(demo.result))
    for sentence in (*comparisons(demo), by_language(demo), about_abstention(demo)):
        console.print(Text(sentence, style="dim"))
    for search in demo.walkthrough.worked:
        console.print()
        _heading(console, search.title)
        _show_worked(console, search)
    walk = demo.walkthrough
    console.print()
    _heading(console, "as_of: what was known then")
    _show_example(console, walk.as_of)
    console.print()
    _heading(console, "filters act inside the search")
    _show_example(console, walk.filtered)
    console.print()
    _heading(console, f"context: a block for a prompt, at most {walk.context_tokens} tokens")
    asked = walk.context_question
    console.print(Text(f'memory.context("{asked.text}", user_id="{asked.user_id}", max_tokens={walk.context_tokens})'))
    console.print(Text(walk.context, style="dim"))


def results_table(result: Mapping[str, Any]) -> Table:
    """Retrievers by metrics with intervals, and latencies; fits 80 columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    data = result["dataset"]
    table = Table(
        title=Text(f"{data['questions']} questions, ranked units: {result['settings']['granularity']}s", style="bold"),
        caption=Text("Per cent, with 95 % bootstrap intervals; median times in ms. Bold: highest of its column."),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("retriever", no_wrap=True)
    for name in METRICS:
        family, _, rest = name.partition("_")
        table.add_column(Text(f"{family}_\n{rest}" if rest else f"\n{family}"), justify="right", no_wrap=True)
    for what in ("search", "encode"):
        table.add_column(Text(f"{what}\np50"), justify="right", no_wrap=True)
    best = {name: max(row["metrics"][name]["mean"] for row in result["rows"]) for name in METRICS}
    for row in result["rows"]:
        cells = [_figure(row["metrics"][name], bold=row["metrics"][name]["mean"] == best[name]) for name in METRICS]
        times = [row["latency_ms"]["search_p50"], row["latency_ms"]["encode_p50"]]
        table.add_row(
            Text(row["retriever"], style=_STYLES.get(row["retriever"], "")),
            *cells,
            *(Text(f"{ms:.1f}" if ms else "-") for ms in times),
        )
    return table


def _figure(figure: dict[str, Any], *, bold: bool) -> Text:
    from rich.text import Text

    text = Text(percent(figure["mean"]), style="bold" if bold else "")
    text.append(f"\n{interval(figure)}", style="dim not bold")
    return text


def _heading(console: Console, title: str) -> None:
    from rich.rule import Rule
    from rich.text import Text

    console.print(Rule(Text(title, style="bold"), align="left", style="dim"))


def _show_worked(console: Console, search: WorkedSearch) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    question = search.question
    console.print(Text.assemble(("? ", "bold"), (question.text, "bold"), (f"  {question.user_id}", "dim")))
    console.print(Text.assemble(("= ", "bold"), question.answer))
    ranks = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    ranks.add_column("rank of the session with the answer")
    for name in RETRIEVERS:
        ranks.add_column(Text(name, style=_STYLES[name]), justify="right")
    for session in search.gold:
        found = [session.ranks[name] for name in RETRIEVERS]
        ranks.add_row(f"{session.date}  {session.session_id}", *(str(rank) if rank else "-" for rank in found))
    console.print(ranks)
    _show_hits(console, search.hits)
    console.print()
    console.print(Text(f"{search.outcome} {search.note}"))


def _show_example(console: Console, example: Example) -> None:
    from rich.text import Text

    for call, hits in ((example.plain_call, example.plain), (example.changed_call, example.changed)):
        console.print(Text(call))
        _show_hits(console, hits, parts=False)


def _show_hits(console: Console, hits: Sequence[ShownHit], *, parts: bool = True) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1, 0, 0))
    length = max(_CLIP, 2 * (console.width - 6))
    for hit in hits:
        table.add_row(Text(f"{hit.rank}.", style="bold"), _hit(hit, length, parts=parts))
    console.print(Padding(table, (0, 0, 0, 2)))


def _hit(hit: ShownHit, length: int, *, parts: bool) -> Text:
    """Date, session and score; with ``parts`` what the score consists of; the first line of the text."""
    from rich.text import Text

    text = Text.assemble((hit.date, "bold"), (f"  {hit.session_id}", "dim"), f"  {hit.score:.2f}")
    if hit.gold:
        text.append("  answer", style="bold green")
    if parts:
        text.append("\n= " + " + ".join(f"{name} {value:.2f}" for name, value in hit.parts.items()), style="dim")
    said = hit.lines[0][1] if hit.lines else ""
    text.append(f"\n{clip(said, length)}")
    return text
