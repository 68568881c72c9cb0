"""Measure retrievers on a LongMemEval file from a program: the same run as ``memagent eval retrieval``.

python examples/longmemeval.py longmemeval_s.json [bm25 dense hybrid ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from memagent import load_encoder
from memagent.encoders.port import Encoder
from memagent.evals.datasets import load_dataset
from memagent.evals.result import build_result, encoder_facts
from memagent.evals.retrieval import encoding_latency, run_retrieval
from memagent.evals.specs import baseline_label, parse_specs
from memagent.evals.table import markdown_table


def measure(file: Path, retrievers: list[str], encoder: Encoder) -> str:
    """A Markdown table of recall with intervals for each retriever."""
    dataset = load_dataset("longmemeval", [file])
    specs = parse_specs(retrievers)
    run = run_retrieval(dataset, specs, encoder)
    result = build_result(
        run,
        encoder=encoder_facts(encoder),
        encode_ms=encoding_latency(encoder, run.questions),
        command=["examples/longmemeval.py", str(file), *retrievers],
        baseline=baseline_label(specs, None),
        seed=0,
    )
    return markdown_table(result)


def main() -> None:
    file, *retrievers = sys.argv[1:]
    print(measure(Path(file), retrievers or ["bm25", "dense", "hybrid"], load_encoder()))


if __name__ == "__main__":
    main()
