"""A small chat model in this process, to try things out without a server. Its answers are poor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr

from memagent.llm.computing import steps
from memagent.llm.packaged import PACKAGED_NAME, Loaded, load_gguf, packaged_gguf

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun

_ROLES = {"system": "system", "human": "user", "ai": "assistant"}


class EmbeddedChat(BaseChatModel):
    """SmolLM2-135M-Instruct through transformers on the CPU, one answer at a time.

    Loaded at the first call, which takes some ten seconds and about 700 MB. ``file``: another GGUF file.
    """

    file: str | Path | None = None
    model_name: str = PACKAGED_NAME
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)

    _loaded: Loaded | None = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "memagent-embedded"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model_name, "file": self.file and str(self.file)}

    def load(self) -> Loaded:
        """Load the model, if it is not yet; raises :class:`~memagent.errors.MissingExtra` where it is not installed."""
        with self._lock:
            if self._loaded is None:
                with steps.step():
                    self._loaded = load_gguf(self.file or packaged_gguf())
            return self._loaded

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = list(self._stream(messages, stop, None, **kwargs))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        made = whole.message
        message = AIMessage(
            content=made.content,
            response_metadata=made.response_metadata,
            usage_metadata=getattr(made, "usage_metadata", None),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        model, tokenizer = self.load()
        asked = [{"role": _ROLES.get(message.type, "user"), "content": str(message.text)} for message in messages]
        with steps.step():
            inputs = tokenizer.apply_chat_template(
                asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        sent = int(inputs["input_ids"].shape[1])
        limit = int(kwargs.get("max_tokens") or self.max_tokens)
        room = int(model.config.max_position_embeddings)
        if sent + limit > room:
            raise ContextOverflowError(f"{sent} tokens and an answer of {limit} do not fit into {room}")
        temperature = float(kwargs.get("temperature", self.temperature) or 0.0)
        with self._lock:
            run = Generation(
                model,
                tokenizer,
                inputs,
                limit=limit,
                temperature=temperature,
                stop=stop or [],
                seed=kwargs.get("seed"),
            )
            for text in steps.each(run.texts()):
                if run_manager:
                    run_manager.on_llm_new_token(text)
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        usage = UsageMetadata(input_tokens=sent, output_tokens=run.count, total_tokens=sent + run.count)
        ending = AIMessageChunk(content="", usage_metadata=usage, response_metadata={"finish_reason": run.finish})
        yield ChatGenerationChunk(message=ending)


class Generation:
    """One answer, token by token."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        inputs: Any,
        *,
        limit: int,
        temperature: float,
        stop: list[str],
        seed: int | None = None,
    ) -> None:
        self.count = 0
        self.finish = "length"
        self._model = model
        self._tokenizer = tokenizer
        self._inputs = inputs
        self._limit = limit
        self._temperature = temperature
        self._stop = [mark for mark in stop if mark]
        self._draws = None if seed is None else _draws_from(int(seed))

    def texts(self) -> Iterator[str]:
        """The pieces of the answer; what may be the beginning of a stop mark is held back."""
        import torch

        ids: list[int] = []
        told = ""
        step, past = self._inputs["input_ids"], None
        while self.count < self._limit:
            with torch.inference_mode():  # for each step: the next one may run in another thread
                out = self._model(input_ids=step, past_key_values=past, use_cache=True)
                token = self._choose(out.logits[0, -1])
            past = out.past_key_values
            self.count += 1
            if token == self._tokenizer.eos_token_id:
                self.finish = "stop"
                break
            ids.append(token)
            step = torch.tensor([[token]])
            text = self._tokenizer.decode(ids, skip_special_tokens=True)
            cut = min((place for mark in self._stop if (place := text.find(mark)) >= 0), default=-1)
            if cut >= 0:
                self.finish = "stop"
                yield text[len(told) : cut]
                return
            safe = self._safe_length(text)
            if safe > len(told):
                yield text[len(told) : safe]
                told = text[:safe]
        yield self._tokenizer.decode(ids, skip_special_tokens=True)[len(told) :]

    def _safe_length(self, text: str) -> int:
        """How much of the text will not change: not half a character, and not the beginning of a stop mark."""
        text = text.rstrip("\ufffd")
        held = max(
            (size for mark in self._stop for size in range(1, len(mark)) if text.endswith(mark[:size])), default=0
        )
        return len(text) - held

    def _choose(self, scores: Any) -> int:
        import torch

        if self._temperature <= 0.0:
            return int(scores.argmax())
        shares = torch.softmax(scores.float() / self._temperature, -1)
        return int(torch.multinomial(shares, 1, generator=self._draws))


def _draws_from(seed: int) -> Any:
    """Random numbers that begin anew from a seed."""
    import torch

    return torch.Generator().manual_seed(seed % 2**63)
