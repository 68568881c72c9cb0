"""A model server that is running somewhere, reached by its URL."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, ModelError, ModelRefused, ModelUnavailable
from memagent.llm.http import ServerHttp
from memagent.llm.wire import Capabilities

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from memagent.llm.cache import ReplyCache
    from memagent.llm.model import Model

_QUICK = 10.0  # seconds for what needs no model
_LOADING = 300.0  # seconds for an adapter to be read
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMetrics:
    """What a vLLM server has counted since its start, in tokens unless it says otherwise.

    ``prefix_queries`` are the prompt tokens looked up in the prefix cache, ``prefix_hits`` those found there.
    ``counters``: every number of its ``/metrics`` page by name, summed over labels.
    """

    prefix_queries: int
    prefix_hits: int
    prompt_tokens: int
    generation_tokens: int
    requests: int
    counters: Mapping[str, float]

    @property
    def prefix_hit_rate(self) -> float:
        """The share of prompt tokens that the prefix cache served; 0 when there were none."""
        return self.prefix_hits / self.prefix_queries if self.prefix_queries else 0.0

    def since(self, before: ServerMetrics) -> ServerMetrics:
        """What was counted after ``before``."""
        counters = {name: value - before.counters.get(name, 0.0) for name, value in self.counters.items()}
        return _metrics(counters)


class Server:
    """One OpenAI-compatible server (vLLM and others).

    ``model``: the model to talk to by default, None for the first one that the server offers. ``cache``: where what the
    server can do is remembered for as long as its process runs.
    """

    def __init__(
        self, url: str, *, model: str | None = None, api_key: str | None = None, cache: ReplyCache | None = None
    ) -> None:
        self._http = ServerHttp(url, api_key=api_key)
        self._api_key = api_key
        self._model = model
        self._cache = cache
        self._lock = threading.Lock()
        self._capabilities: Capabilities | None = None

    @property
    def url(self) -> str:
        """Its address, without ``/v1``."""
        return self._http.url

    @property
    def model_name(self) -> str:
        """The model that is talked to by default."""
        return self._model or self._base()["id"]

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do with its default model; found out by asking at the first use."""
        from memagent.llm.probe import probe, remembered

        with self._lock:
            if self._capabilities is None:
                found = self._base()
                model, longest = self._model or found["id"], found.get("max_model_len")
                started = self.metrics().counters.get("process_start_time_seconds") if self._cache else None
                if self._cache and started:
                    self._capabilities = remembered(self._http, model, longest, started=started, cache=self._cache)
                else:
                    self._capabilities = probe(self._http, model, max_model_len=longest)
            return self._capabilities

    def healthy(self, *, timeout: float = _QUICK) -> bool:
        """Whether it answers."""
        try:
            status = self._http.call("/health", None, timeout=timeout).status
            return bool(self._listed()) if 400 <= status < 500 else status < 300  # not every server has that page
        except ModelError:
            return False

    def models(self) -> list[str]:
        """The names that it answers to: its model, and its adapters."""
        return [entry["id"] for entry in self._listed()]

    def adapters(self) -> list[str]:
        """The names of its LoRA adapters."""
        return [entry["id"] for entry in self._listed() if entry.get("parent")]

    def load_lora(self, name: str, path: str | Path, *, replace: bool = False) -> None:
        """Load a LoRA adapter from a folder that the server can read; it is then a model of that name.

        ``replace``: take the place of an adapter of the same name. Replies of the cache are kept by name: give another
        adapter another name. Raises :class:`~memagent.errors.ModelRefused` with what the server says.
        """
        body: dict[str, Any] = {"lora_name": name, "lora_path": str(path)}
        if replace:
            body["load_inplace"] = True
        self._adapter("load", body)

    def unload_lora(self, name: str) -> None:
        """Unload an adapter. Raises :class:`~memagent.errors.ModelRefused` when there is none of that name."""
        self._adapter("unload", {"lora_name": name})

    def _adapter(self, verb: str, body: dict[str, Any]) -> None:
        answer = self._http.call(f"/v1/{verb}_lora_adapter", body, timeout=_LOADING)
        if 200 <= answer.status < 300:
            return
        hint = "see the adapter's folder, max_lora_rank, and the server's log"
        if answer.status in (404, 405) and "adapter" not in answer.message.lower():
            hint = "the server must be started with adapters enabled, as VLLMServer does"
        # 500 is vLLM's answer to an adapter of too high a rank: it is no failure that passes.
        raise ModelRefused(f"the server said {answer.status}: {answer.message[:500]}", hint=hint)

    def metrics(self) -> ServerMetrics:
        """What it has counted since its start; zeros where it has no ``/metrics`` page of vLLM's."""
        try:
            text = self._http.get("/metrics", timeout=_QUICK).decode("utf-8", "replace")
        except ModelRefused:
            text = ""
        counters: dict[str, float] = {}
        for name, value in _SAMPLE.findall(text):
            try:
                counters[name] = counters.get(name, 0.0) + float(value)
            except ValueError:
                continue
        return _metrics(counters)

    def version(self) -> str | None:
        """Its vLLM version; None for other servers."""
        try:
            found = self._http.get_json("/version", timeout=_QUICK)
        except ModelError:
            return None
        version = found.get("version") if isinstance(found, dict) else None
        return version if isinstance(version, str) else None

    def chat_model(self, name: str | None = None, **options: Any) -> BaseChatModel:
        """A LangChain chat model (``ChatOpenAI``) that talks to this server.

        ``name``: one of its models or adapters. ``options`` are ChatOpenAI's. It does not repeat failed calls, which
        :class:`~memagent.llm.Model` does.
        """
        from langchain_openai import ChatOpenAI

        from memagent.llm.clients import clients

        settings: dict[str, Any] = {
            "model": name or self.model_name,
            "base_url": f"{self.url}/v1",
            "api_key": self._api_key or "none",
            "max_retries": 0,
            "use_responses_api": False,
            "stream_usage": True,
            **clients(local=self._http.local),
        }
        return ChatOpenAI(**(settings | options))

    def model(self, name: str | None = None, **options: Any) -> Model:
        """A :class:`~memagent.llm.Model` that talks to this server; ``options`` are its."""
        from memagent.llm.model import Model

        if "capabilities" not in options:
            options["capabilities"] = self.capabilities
        return Model(self.chat_model(name), **options)

    def _base(self) -> dict[str, Any]:
        """The server's entry for the default model."""
        listed = self._listed()
        if self._model is not None:
            for entry in listed:
                if entry["id"] == self._model:
                    return entry
            names = ", ".join(entry["id"] for entry in listed)
            raise InvalidInput(f"{self.url} has no model {self._model!r}", hint=f"it has {names or 'none'}")
        if not listed:
            raise ModelUnavailable(f"{self.url} offers no model", hint="see how it was started")
        return next((entry for entry in listed if not entry.get("parent")), listed[0])

    def _listed(self) -> list[dict[str, Any]]:
        found = self._http.get_json("/v1/models", timeout=_QUICK)
        entries = found.get("data") if isinstance(found, dict) else None
        return [entry for entry in entries or [] if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def connect(
    url: str, *, model: str | None = None, api_key: str | None = None, cache: ReplyCache | None = None
) -> Server:
    """A running server, checked to be there and to have the model; its capabilities are found out when first asked.

    With a ``cache`` and a server that says when its process started, as vLLM does, that is once for that process.

    Raises :class:`~memagent.errors.ModelUnavailable` (retryable) when it cannot be reached, and
    :class:`~memagent.errors.InvalidInput` when it has no such model.
    """
    server = Server(url, model=model, api_key=api_key, cache=cache)
    server._base()
    return server


def _metrics(counters: Mapping[str, float]) -> ServerMetrics:
    def count(*names: str) -> int:
        return next((int(counters[name]) for name in names if name in counters), 0)

    return ServerMetrics(
        prefix_queries=count("vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries"),
        prefix_hits=count("vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits"),
        prompt_tokens=count("vllm:prompt_tokens_total"),
        generation_tokens=count("vllm:generation_tokens_total"),
        requests=count("vllm:request_success_total"),
        counters=MappingProxyType(dict(counters)),
    )
