"""One ONNX graph in ONNX Runtime: token ids and mask in, vectors out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.encoders.runtime import onnx_runtime
from memagent.errors import EncoderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vectors

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "vector"

_THREADS_PER_RUN = 4
"""Threads that share one run at most; more processors are used by running several batches at once."""


def available_cpus() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Graph:
    """A loaded graph; ``run`` is safe from several threads. Raises :class:`EncoderError` for a damaged file."""

    def __init__(self, path: Path, *, threads: int) -> None:
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(threads, _THREADS_PER_RUN)
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        # Threads that spin while they wait gain 0.5 ms on an idle machine and cost up to half of the
        # throughput on a busy one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Memory plans are kept for each shape seen, and texts come in hundreds of shapes.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each of the runtime's errors derives from the bare class
            raise EncoderError(f"cannot load {path}: {error}", hint="delete the file; it is made again") from error

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Vectors:
        """Vectors of one batch, float32, shape (rows of ids, dim)."""
        try:
            found: Vectors = self._session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[0]
        except Exception as error:  # each of the runtime's errors derives from the bare class
            raise EncoderError(f"ONNX Runtime failed: {error}", hint='try backend="torch"') from error
        return found
