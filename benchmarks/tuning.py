"""DPO end to end on a small model: pairs from tree search in the made-up world, an adapter, and what it learnt.

    python benchmarks/tuning.py MODEL --out DIR [--pairs 64] [--held-out 8] [--whole-prompts] [--serve ENV]

The pairs come from a scripted policy, so their right side is known to be right; the model only learns to prefer it.
Training reads the user's part of a prompt, unless ``--whole-prompts`` (system prompts with examples make each pair four
times as long). Prints the margin and accuracy before and after, on pairs that were trained and on those of questions
held out, the time, and the most memory. With ``--serve`` the vLLM of that environment loads the adapter while it runs,
and six of the prompts are put to the model without and with it. Exit status 1 if the margin of the trained pairs has
not risen, 2 if no output has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from progress import clear, tell

from memagent.agents.reason_rag.pairs import all_pairs
from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.searching import Document
from memagent.agents.reason_rag.tree import Case
from memagent.agents.reason_rag.tree_run import Searching, grow_trees
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.world import make_world
from memagent.llm import Model, Prompt, VLLMServer
from memagent.tuning.pairs import PreferencePair
from memagent.tuning.run import Tuned, tune_dpo
from memagent.tuning.settings import DpoSettings, LoraSettings

SERVED = 6


class Titles:
    """Finds the passages of the world whose titles a query names."""

    def __init__(self) -> None:
        self._documents = [Document(id=one.id, title=one.title, text=one.text) for one in make_world().passages]

    def search(self, query: str, k: int) -> Sequence[Document]:
        """At most k passages."""
        return [document for document in self._documents if document.title in query][:k]


def world_pairs(count: int) -> list[PreferencePair]:
    """The first pairs of as many questions as they need."""
    model = Model(WorldModel(detours=True))
    searching = Searching(policy=model, judge=model, searcher=Titles(), settings=SearchSettings())
    pairs: list[PreferencePair] = []
    for question in make_world().questions:
        if len(pairs) >= count:
            break
        case = Case(id=question.id, question=question.text, answers=question.answers)
        pairs += all_pairs(grow_trees([case], searching))
    return pairs[:count]


def tuned(model: str, out: Path, pairs: Sequence[PreferencePair], held_out: int, rate: float) -> Tuned:
    """The run: LoRA of rank 16 on all linear layers, one epoch, two pairs a step."""
    settings = DpoSettings(
        learning_rate=rate, held_out=held_out / len(pairs), lora=LoraSettings(dropout=0.05), device="cpu"
    )
    return tune_dpo(
        pairs, model, out, settings=settings, progress=lambda what, done, of: tell(f"{what}: {done} of {of}")
    )


def served(model: str, adapter: Path, environment: str, pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    """The prompts of some pairs, put to the model without and with the adapter, greedily."""
    prompts = list({pair.input: pair for pair in pairs}.values())[:SERVED]
    texts: dict[str, list[str]] = {}
    with VLLMServer(
        model, lora={}, max_model_len=4096, max_lora_rank=LoraSettings().rank, python=environment, progress=tell
    ) as server:
        began = time.monotonic()
        server.load_lora("tuned", adapter)
        seconds = time.monotonic() - began
        for name in (None, "tuned"):
            asked = server.model(name)
            texts[name or "base"] = [
                asked.ask(
                    Prompt(name="tuning", version=1, system=pair.instruction, user=pair.input, max_tokens=48)
                ).value
                for pair in prompts
            ]
    changed = sum(base != tuned for base, tuned in zip(texts["base"], texts["tuned"], strict=True))
    return {"prompts": len(prompts), "changed": changed, "load_seconds": round(seconds, 2)}


def main() -> int:
    """Tune, and print the measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder with a model, or its name on the hub")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the adapter")
    parser.add_argument("--pairs", type=int, default=64, help="how many to train on")
    parser.add_argument("--held-out", type=int, default=8, help="how many to keep for measuring, about")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--whole-prompts", action="store_true", help="with the system prompts")
    parser.add_argument("--serve", metavar="ENV", help="an environment with vLLM, to serve the adapter with")
    given = parser.parse_args()
    pairs = world_pairs(given.pairs + given.held_out)
    if not given.whole_prompts:
        pairs = [replace(pair, instruction="") for pair in pairs]
    found = tuned(given.model, given.out, pairs, given.held_out, given.learning_rate)
    clear()
    parts = {
        name: {"before": asdict(found.before[name]), "after": asdict(after)} for name, after in found.after.items()
    }
    facts: dict[str, Any] = {"seconds": found.seconds, "peak_mib": found.peak_mib}
    if given.serve:
        facts["served"] = served(given.model, found.folder, given.serve, pairs)
    print(json.dumps({**facts, **parts}, indent=1))
    if not found.after["train"].margin > found.before["train"].margin:
        return 1
    return 0 if not given.serve or facts["served"]["changed"] else 2


if __name__ == "__main__":
    sys.exit(main())
