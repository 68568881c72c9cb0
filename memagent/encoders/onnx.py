"""The encoder for processors: ONNX Runtime and tokenizers, without torch once the export exists."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memagent.encoders.batching import batches, padded
from memagent.encoders.files import default_cache_dir
from memagent.encoders.graph import Graph, available_cpus
from memagent.encoders.model import ModelFolder
from memagent.encoders.text_encoder import Precision, TextEncoder
from memagent.encoders.tokens import Tokens
from memagent.encoders.windows import LongText
from memagent.errors import EncoderError, InvalidInput
from memagent.forks import FORKS, leave_alone

if TYPE_CHECKING:
    from memagent.records import Vectors


class OnnxEncoder(TextEncoder):
    """Runs a model's ONNX export; exports it first where that was never done (which imports torch).

    float32 gives torch's vectors to 1e-4. int8 quantises each activation by the largest value it
    meets in the whole batch, so a text's vector would move by up to 0.04 with its companions: int8
    therefore runs every text alone, which costs nothing measurable (long texts) to a fifth (short
    ones). Its vectors have a cosine of about 0.99 to float32 and a fingerprint of their own.

    ``threads``: processors to use, all available by default.
    """

    def __init__(
        self,
        model: ModelFolder,
        *,
        precision: Precision = "float32",
        long_text: LongText = "windows",
        batch_size: int = 32,
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__(
            model,
            precision=precision,
            long_text=long_text,
            batch_size=batch_size,
            cache_dir=cache_dir or default_cache_dir(),
        )
        if threads is not None and threads < 1:
            raise InvalidInput(f"threads is {threads}", hint="use 1 or more, or None for all")
        self._threads = threads or available_cpus()
        self._loaded_graph: Graph | None = None
        FORKS.register(self, inner=True)

    def _embed(self, sequences: list[list[int]]) -> Vectors:
        graph = self._graph()
        out: Vectors = np.empty((len(sequences), self.dim), dtype=np.float32)
        groups = batches(
            [len(sequence) for sequence in sequences], texts=1 if self._precision == "int8" else self._batch_size
        )

        def work(rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
            out[rows] = graph.run(*padded([sequences[row] for row in rows], pad=self._model.pad_id))

        if len(groups) == 1 or self._threads == 1:
            for rows in groups:
                work(rows)
            return out
        # Batches side by side beat one batch on all processors: nothing waits for the slowest part of each layer.
        with ThreadPoolExecutor(min(self._threads, len(groups)), thread_name_prefix="memagent-encode") as pool:
            for _ in pool.map(work, groups):
                pass
        return out

    def _loaded_dim(self) -> int:
        raise EncoderError(f"{self.name} does not state its vectors' width", hint='use backend="torch"')

    def _load_tokens(self) -> Tokens:
        return Tokens.from_file(self._model.folder / "tokenizer.json")

    def pause(self, timeout: float) -> bool:
        """Nothing is let go of before a fork: loading the graph again would cost the parent more than it is worth."""
        return False

    def resume(self, *, in_child: bool) -> None:
        """There was no pause."""

    def abandon(self) -> None:
        """In a forked child: leave the parent's graph alone; the next text loads another."""
        self._lock = threading.RLock()
        if self._loaded_graph is not None:
            leave_alone(self._loaded_graph)
            self._loaded_graph = None

    def _graph(self) -> Graph:
        graph = self._loaded_graph
        if graph is None:
            with self._lock:
                graph = self._loaded_graph
                if graph is None:
                    graph = self._loaded_graph = self._open()
        return graph

    def _open(self) -> Graph:
        path = self._exported(rebuild=False)
        try:
            return Graph(path, threads=self._threads)
        except EncoderError:
            # The file is the one that was written but cannot be read: make it again, once.
            return Graph(self._exported(rebuild=True), threads=self._threads)

    def _exported(self, *, rebuild: bool) -> Path:
        from memagent.encoders.onnx_export import exported

        return exported(
            self._model, precision=self._precision, weights=self._weights, cache_dir=self._cache_dir, rebuild=rebuild
        )
