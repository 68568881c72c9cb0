"""How much a vLLM server gains from being asked at once, and from shared beginnings of prompts.

    python benchmarks/model_server.py MODEL [--python ENV] [--out FILE]

Short prompts (at most 200 tokens) and long ones (about 1,450, nearly all of it shared) with answers of 32 tokens, one
by one and 16 at once, in turns, three times; the gain is the median. Every prompt is new to the server but for what it
shares. The exit status is 1 when short prompts gain less than three times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from memagent.llm import Model, Prompt, VLLMServer

ANSWER = 32
ONE_BY_ONE = 4
ROUNDS = 3
LEAST_GAIN = 3.0
AT_ONCE = 16
TOPICS = ["tea", "bees", "sailing", "Lisbon", "chess", "bread", "winter", "trains", "paint", "goats", "clocks", "salt"]
SHORT = "You are a friendly assistant. Reply with one long paragraph."
RULES = " ".join(f"Rule {n}: answer in plain words, and never make up what was not said." for n in range(75))


def prompts(system: str, count: int, begin: int) -> list[Prompt[str]]:
    """Different questions with one beginning."""
    return [
        Prompt(
            name="bench",
            version=1,
            system=system,
            user=f"Write about {TOPICS[n % len(TOPICS)]} and the number {n}, without stopping.",
            max_tokens=ANSWER,
        )
        for n in range(begin, begin + count)
    ]


def timed(model: Model, asked: Sequence[Prompt[str]], *, at_once: bool) -> dict[str, Any]:
    """Seconds and tokens of one round."""
    began = time.perf_counter()
    replies = model.ask_many(asked) if at_once else [model.ask(prompt) for prompt in asked]
    seconds = time.perf_counter() - began
    received = sum(reply.usage.output for reply in replies)
    return {
        "prompts": len(asked),
        "seconds": round(seconds, 2),
        "input_tokens": sum(reply.usage.input for reply in replies),
        "output_tokens": received,
        "output_tokens_per_second": round(received / seconds, 2),
        "load_average": round(os.getloadavg()[0], 2),
    }


def measured(server: VLLMServer, name: str, system: str, begin: int) -> dict[str, Any]:
    """One kind of prompt, both ways in turns, with what the prefix cache served."""
    model = server.model(timeout=1200.0, concurrency=AT_ONCE)
    timed(model, prompts(system, 1, begin + 900), at_once=False)  # the first one fills the prefix cache
    before = server.metrics()
    rounds = []
    for turn in range(ROUNDS):
        single = timed(model, prompts(system, ONE_BY_ONE, begin + 100 * turn), at_once=False)
        many = timed(model, prompts(system, AT_ONCE, begin + 100 * turn + 50), at_once=True)
        gain = many["output_tokens_per_second"] / single["output_tokens_per_second"]
        rounds.append({"one_by_one": single, "at_once": many, "gain": round(gain, 2)})
    spent = server.metrics().since(before)
    return {
        "name": name,
        "gain": round(median(turn["gain"] for turn in rounds), 2),
        "prefix_hit_rate": round(spent.prefix_hit_rate, 3),
        "rounds": rounds,
    }


def main() -> None:
    """Measure, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder or a name")
    parser.add_argument("--python", help="the environment that has vLLM")
    parser.add_argument("--out", type=Path, help="the file to write")
    given = parser.parse_args()
    with VLLMServer(
        given.model, python=given.python, max_model_len=4096, progress=lambda line: print(line, file=sys.stderr)
    ) as server:
        result: dict[str, Any] = {
            "vllm": server.server.version(),
            "model": server.name,
            "cores": os.cpu_count(),
            "prompts": [
                measured(server, "short prompts", SHORT, 0),
                measured(server, "long shared beginning", RULES, 2000),
            ],
        }
    text = json.dumps(result, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    sys.exit(result["prompts"][0]["gain"] < LEAST_GAIN)


if __name__ == "__main__":
    main()
