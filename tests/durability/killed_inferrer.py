"""Has a language model write facts, and is killed in the middle of it: at a random moment, or where it is told."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from memagent import Memory
from memagent.memory import inference, inference_loop
from memagent.memory.queueing import Inferring
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.prompts.summary import SessionKeywords, SessionSummary
from memagent.testing import HashingEncoder, ScriptedModel

SESSIONS = 12
LEASE = 0.4


def answer(prompt: Prompt[Any]) -> Any:
    """A fact that names the message it is about; so one that is written twice is seen."""
    if prompt.name == "session-summary":
        return SessionSummary(summary="Written by a model.")
    if prompt.name == "session-keywords":
        return SessionKeywords(keywords=["written"])
    said = prompt.user.rpartition("<message ")[2].splitlines()[1]
    return Facts(facts=[Fact(text=f"Fact: {said}", messages=[1])])


def die() -> None:
    """End without any of Python's or SQLite's tidying up."""
    os.kill(os.getpid(), signal.SIGKILL)


def killing(kind: str, after: int) -> None:
    """Have the process killed at the ``after``-th time that facts are asked for, or written."""
    count = 0

    def counted() -> bool:
        nonlocal count
        count += 1
        return count == after

    if kind == "asking":
        names = vars(inference_loop)
        listen = names["listen"]

        def listening(*arguments: Any) -> Any:
            if counted():
                die()
            return listen(*arguments)

        names["listen"] = listening
    elif kind == "writing":
        names = vars(inference)
        insert = names["insert_facts"]

        def inserting(*arguments: Any, **options: Any) -> Any:
            ignored = insert(*arguments, **options)
            if counted():
                die()  # in the middle of the transaction
            return ignored

        names["insert_facts"] = inserting


def main(root: str, kind: str, after: int) -> None:
    """Store sessions, say so, and work until killed or done."""
    killing(kind, after)
    settings = Inferring(lease=LEASE)
    memory = Memory(Path(root), encoder=HashingEncoder(32), model=ScriptedModel(answer), inferring=settings)
    if memory.users() == []:
        memory.add_many(
            [{"session_id": f"s{n}", "messages": [f"I keep {n} hives."]} for n in range(SESSIONS)],
            user_id="ann",
            infer=True,
        )
    print("stored", flush=True)
    memory.wait(timeout=300)
    print("done", flush=True)
    memory.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
