"""The options of ``memagent eval qa``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from memagent.evals.options import (
    BudgetCalls,
    BudgetCost,
    BudgetTokens,
    CallTimeout,
    Common,
    ReaderPrice,
    RepliesKept,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QaOptions(Common):
    """What is asked, of whom, and what it may cost."""

    dataset: Annotated[
        Literal["longmemeval", "locomo", "personamem", "demo"],
        typer.Option(help="The data set; demo is bundled and needs no --data. PersonaMem: questions and documents."),
    ]
    reader: Annotated[
        str,
        typer.Option(
            metavar="MODEL|URL|scripted",
            help="Who answers: the URL of an OpenAI-compatible server, a name for init_chat_model such as "
            "openai:gpt-5-mini, embedded; or scripted, which answers rightly exactly if it is shown the evidence.",
        ),
    ]
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|URL|scripted",
            help="Who judges the answers. Default: nobody; texts are compared, PersonaMem goes by option letters.",
        ),
    ] = None
    judge_criteria: Annotated[
        Literal["longmemeval", "locomo", "memgas"] | None,
        typer.Option(help="What the judge goes by. Default: the data set's own criteria."),
    ] = None
    retriever: Annotated[
        str,
        typer.Option(
            help="NAME or 'NAME\\[param=value,...]'; or a control: none (no memory), full (all of it), gold (only the "
            "evidence)."
        ),
    ] = "hybrid"
    top_k: Annotated[int, typer.Option(min=1, help="How many units are looked up.")] = 10
    granularity: Annotated[
        Literal["turn", "session", "summary", "keywords"], typer.Option(help="The units that are looked up.")
    ] = "turn"
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="The longest prompt, in estimated tokens; never beyond what the reader holds."),
    ] = 8000
    reply_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 512
    filter: Annotated[
        Literal["none", "llm", "llm-triple"],
        typer.Option(help="MemGAS's filter before the answer; llm-triple inserts it as the released code does."),
    ] = "none"
    form: Annotated[
        Literal["json", "text"],
        typer.Option(help="What the reader is asked to write; small models write text more easily."),
    ] = "json"
    adversarial: Annotated[
        Literal["abstain", "trap"],
        typer.Option(help="LoCoMo's category 5: right is to say that it is not known, or (MemGAS) the trap answer."),
    ] = "abstain"
    hypotheses: Annotated[
        Path | None, typer.Option(help="Also write question_id and hypothesis, for the benchmark's own script.")
    ] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Questions under way at once.")] = 16
    timeout: CallTimeout = 120.0
    thinking_tokens: Annotated[
        int,
        typer.Option(
            min=0,
            help="For models that reason before they answer: tokens for that, beside those of the answer (judges are "
            "allowed 10).",
        ),
    ] = 0
    budget_calls: BudgetCalls = None
    budget_tokens: BudgetTokens = None
    budget_cost: BudgetCost = None
    reader_price: ReaderPrice = None
    judge_price: Annotated[str | None, typer.Option(metavar="IN,OUT", help="The same for the judge.")] = None
    bertscore: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also compute BERTScore, with this model by name or path.")
    ] = None
    bertscore_layers: Annotated[
        int | None, typer.Option(min=1, help="The layer that BERTScore compares, where it does not know the model.")
    ] = None
    cache: RepliesKept = True
