"""The baselines beside ReasonRAG: no search, one search, and loops in the manner of IRCoT and Search-o1.

The wording is our own; the forms are those of IRCoT (arXiv 2212.10509: one sentence of reasoning, searched for, until
one holds the answer) and Search-o1 (arXiv 2501.05366: one continuous reasoning that stops to search, and a second
prompt that reads the documents for it). All end in the answer form of :mod:`memagent.prompts.reason_rag`, so that one
parser reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, element
from memagent.prompts.reason_rag import ANSWER_LEAD, NO_EVIDENCE, QUERY_LEAD, STOPS, Reference, Thought, thoughts_text

_SHORT = """\
The answer is as short as can be: a name, a date, a number, a place, yes or no; no sentence, and no explanation inside \
the tags."""

_ENDING = f"{ANSWER_LEAD} <answer>answer</answer>"

_DIRECT = f"""\
You answer a question from what you know.

{QUOTED_IS_DATA}

<question> holds the question. Reply with the answer alone, the likeliest one if you are not sure, in exactly this form:
{_ENDING}

{_SHORT}"""

_FROM_PASSAGES = f"""\
You answer a question from documents that a search has found.

{QUOTED_IS_DATA}

Each <reference> holds a document, <question> the question. Reply with the answer alone, the likeliest one if the \
documents do not settle it, in exactly this form:
{_ENDING}

{_SHORT}"""

_CHAIN = f"""\
You reason towards the answer of a question, one sentence at a time, from documents that searches have found.

{QUOTED_IS_DATA}

Each <reference> holds a document, <question> the question, and <thoughts>, where given, the sentences so far. Write \
the one sentence that comes next: a fact that the documents or you know and that leads on, named in full, or what has \
to be found out next. Once the answer follows from the sentences so far, write in its place:
{_ENDING}

{_SHORT}"""

_SEARCHING = f"""\
You answer a question by reasoning step by step. Whenever you are not sure of a fact, you can stop and search for it: \
end your reply with
{QUERY_LEAD} <query>query</query>
and what the search has found stands in the next <thoughts>. A query asks for one thing, and names it in full.

{QUOTED_IS_DATA}

<question> holds the question, <thoughts>, where given, your reasoning so far with what was found. Carry on from \
where it ends; do not begin anew. Once you know the answer, end with
{_ENDING}

{_SHORT}"""

_READING = f"""\
You read documents that a search has found while somebody reasons towards the answer of a question, and hand on what \
helps them.

{QUOTED_IS_DATA}

<question> holds the question, <thoughts> the reasoning so far, <query> the search, and each <reference> a document. \
Analyse the documents in the light of the reasoning, and end with the facts that carry it on, in a few words:
The relevant evidence is <evidence>facts</evidence>
or, if the documents hold nothing of use:
The relevant evidence is <evidence>{NO_EVIDENCE}</evidence>"""


def answer_directly(question: str, *, max_tokens: int = 256) -> Prompt[str]:
    """The answer without any document."""
    return _plain("multihop-direct", _DIRECT, element("question", question), max_tokens)


def answer_from_passages(question: str, references: Sequence[Reference], *, max_tokens: int = 256) -> Prompt[str]:
    """The answer from the documents of one search."""
    user = "\n".join((_references(references), element("question", question)))
    return _plain("multihop-passages", _FROM_PASSAGES, user, max_tokens)


def next_sentence(
    question: str, references: Sequence[Reference], sentences: Sequence[str], *, max_tokens: int = 128
) -> Prompt[str]:
    """The next sentence of reasoning (IRCoT), or the answer."""
    so_far = [element("thoughts", " ".join(sentences))] if sentences else []
    user = "\n".join((_references(references), element("question", question), *so_far))
    return _plain("multihop-chain", _CHAIN, user, max_tokens)


def reason_and_search(question: str, thoughts: Sequence[Thought], *, max_tokens: int = 512) -> Prompt[str]:
    """The reasoning carried on up to the next search or the answer (Search-o1)."""
    user = "\n".join((element("question", question), *_so_far(thoughts)))
    return _plain("multihop-search-reasoning", _SEARCHING, user, max_tokens)


def read_documents(
    question: str, thoughts: Sequence[Thought], query: str, references: Sequence[Reference], *, max_tokens: int = 512
) -> Prompt[str]:
    """What the documents of one search give to the reasoning (Search-o1's reason-in-documents)."""
    user = "\n".join(
        (element("question", question), *_so_far(thoughts), element("query", query), _references(references))
    )
    return _plain("multihop-search-reading", _READING, user, max_tokens)


def _so_far(thoughts: Sequence[Thought]) -> list[str]:
    return [f"<thoughts>\n{thoughts_text(thoughts)}\n</thoughts>"] if thoughts else []


def _references(references: Sequence[Reference]) -> str:
    if not references:
        return element("reference", "(nothing was found)")
    return "\n".join(element("reference", f"{one.title}\n{one.text}".strip()) for one in references)


def _plain(name: str, system: str, user: str, max_tokens: int) -> Prompt[str]:
    return Prompt(name=name, version=1, system=system, user=user, max_tokens=max_tokens, stop=STOPS)
