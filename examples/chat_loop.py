"""A chat loop with a memory: recall before the reply, remember after it.

The reply comes from a stand-in that repeats what it was given; put your model's call in its place.

    python examples/chat_loop.py                 talk to it (end with an empty line)
    echo "I moved to Lisbon" | python examples/chat_loop.py
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from memagent import Memory
from memagent.errors import UnknownUser


def reply(prompt: str) -> str:
    """Stand in for a language model."""
    remembered = [line for line in prompt.splitlines() if line.startswith("[user]")]
    return f"(I was shown {len(remembered)} earlier things you said.)"


def chat(store: Path, user: str, lines: list[str]) -> list[str]:
    """Answer each line with what is remembered of the user; the answers."""
    answers = []
    session = datetime.now(UTC).strftime("chat-%Y%m%dT%H%M%S.%f")
    with Memory(store) as memory:
        for line in lines:
            try:
                block = memory.context(line, user_id=user, max_tokens=500)
            except UnknownUser:  # the first words of a new user
                block = ""
            answer = reply(f"{block}\n{line}")
            memory.add(
                [{"role": "user", "content": line}, {"role": "assistant", "content": answer}],
                user_id=user,
                session_id=session,
            )
            answers.append(answer)
    return answers


def main() -> None:
    for line in iter(lambda: sys.stdin.readline().strip(), ""):
        print(chat(Path("chat-store"), "me", [line])[0])


if __name__ == "__main__":
    main()
