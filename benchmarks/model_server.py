"""How much a vLLM server gains from being asked 16 questions at once, and from shared beginnings of prompts.

    python benchmarks/model_server.py MODEL [--python ENV] [--rounds N] [--out FILE]

The same 16 questions are asked one by one and then at once, with answers of exactly 32 tokens: short prompts (about 40
and about 150 tokens), in so many rounds (default 3), and long ones (about 1,450 tokens that are shared, and about 850
that differ), in one round. The gain is the ratio of answer tokens a second, its median over rounds. Each half of a
round has a prefix cache of its own (``cache_salt``), so that the second does not profit from the first; before each
half one further question fills the cache with what is shared. The exit status is 1 when short prompts gain less than
three times, 2 when prompts or answers were not as long as they have to be.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from memagent.llm import Model, Prompt, Reply, VLLMServer

ANSWER = 32
AT_ONCE = 16
LEAST_GAIN = 3.0
SHORT = 200  # tokens that a short prompt has at most
BRIEF = "You are a friendly assistant. Reply with one long paragraph."
RULES = " ".join(f"Rule {n}: answer in plain words, and never make up what was not said." for n in range(75))
TOPICS = ["tea", "bees", "sailing", "Lisbon", "chess", "bread", "winter", "trains", "paint", "goats", "clocks", "salt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of prompt: its shared part, and how many sentences of its own each prompt has."""

    name: str
    system: str
    own: int
    short: bool

    def prompts(self, count: int, begin: int) -> list[Prompt[str]]:
        """Different questions with one beginning."""
        return [
            Prompt(name="bench", version=1, system=self.system, user=self.question(n), max_tokens=ANSWER)
            for n in range(begin, begin + count)
        ]

    def question(self, number: int) -> str:
        """What is asked, below sentences that no other question has."""
        notes = [
            f"Note {number}.{place}: {TOPICS[(number + place) % len(TOPICS)]} on day {7 * place + number}."
            for place in range(self.own)
        ]
        topic = TOPICS[number % len(TOPICS)]
        return " ".join([*notes, f"Write about {topic} and the number {number}, without stopping."])


KINDS = (
    Kind(name="short prompts", system=BRIEF, own=0, short=True),
    Kind(name="short prompts with notes", system=BRIEF, own=8, short=True),
    Kind(name="long prompts, nearly all shared", system=RULES, own=0, short=False),
    Kind(name="long prompts, all different", system=BRIEF, own=60, short=False),
)


def half(server: VLLMServer, kind: Kind, begin: int, *, at_once: bool) -> dict[str, Any]:
    """The questions of one round, asked one by one or at once."""
    salt = f"{kind.name} {begin} {at_once}"
    chat = server.chat_model(extra_body={"min_tokens": ANSWER, "cache_salt": salt})
    model = Model(chat, capabilities=server.capabilities, concurrency=AT_ONCE, timeout=1200.0, retries=0)
    model.ask(kind.prompts(1, begin + AT_ONCE)[0])
    before = server.metrics()
    asked = kind.prompts(AT_ONCE, begin)
    began = time.perf_counter()
    replies: list[Reply[str]] = model.ask_many(asked) if at_once else [model.ask(prompt) for prompt in asked]
    seconds = time.perf_counter() - began
    spent = server.metrics().since(before)
    sent, received = ([getattr(reply.usage, way) for reply in replies] for way in ("input", "output"))
    return {
        "seconds": round(seconds, 2),
        "prompt_tokens": [min(sent), max(sent)],
        "answer_tokens": [min(received), max(received)],
        "answer_tokens_per_second": round(sum(received) / seconds, 2),
        "prefix_hit_rate": round(spent.prefix_hit_rate, 3),
        "load_average": round(os.getloadavg()[0], 2),
    }


def measured(server: VLLMServer, kind: Kind, rounds: int) -> dict[str, Any]:
    """One kind of prompt, both ways in turns."""
    turns = []
    for turn in range(rounds):
        begin = 100 * turn + 7
        single = half(server, kind, begin, at_once=False)
        many = half(server, kind, begin, at_once=True)
        gain = many["answer_tokens_per_second"] / single["answer_tokens_per_second"]
        turns.append({"gain": round(gain, 2), "one_by_one": single, "at_once": many})
        print(f"{kind.name}, round {turn + 1}: {gain:.2f} times", file=sys.stderr, flush=True)
    return {"name": kind.name, "gain": round(median(turn["gain"] for turn in turns), 2), "rounds": turns}


def status(results: list[dict[str, Any]]) -> int:
    """Whether the conditions of the measurement, and then its limit, hold."""
    for kind, result in zip(KINDS, results, strict=True):
        for turn in result["rounds"]:
            for way in ("one_by_one", "at_once"):
                longest, least = turn[way]["prompt_tokens"][1], turn[way]["answer_tokens"][0]
                if least < ANSWER or (kind.short and longest > SHORT):
                    print(f"{kind.name}: prompts of {longest} tokens, answers of {least}", file=sys.stderr)
                    return 2
    short = [result["gain"] for kind, result in zip(KINDS, results, strict=True) if kind.short]
    return int(min(short) < LEAST_GAIN)


def main() -> None:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder or a name")
    parser.add_argument("--python", help="the environment that has vLLM")
    parser.add_argument("--rounds", type=int, default=3, help="rounds with short prompts")
    parser.add_argument("--out", type=Path, help="the file to write")
    given = parser.parse_args()
    with VLLMServer(
        given.model, python=given.python, max_model_len=4096, progress=lambda line: print(line, file=sys.stderr)
    ) as server:
        results = [measured(server, kind, given.rounds if kind.short else 1) for kind in KINDS]
        result = {
            "vllm": server.server.version(),
            "model": server.name,
            "cores": os.cpu_count(),
            "prompts": results,
        }
    text = json.dumps(result, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    sys.exit(status(results))


if __name__ == "__main__":
    main()
