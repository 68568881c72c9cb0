"""From the file of an experiment to those who visit: with or without a language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.agent.histories import Histories
from memagent.agents.ab.agent.memories import BankedMemory, LongTermMemory
from memagent.agents.ab.agent.policy import AgentPolicy
from memagent.agents.ab.agent.poster_files import PosterFiles
from memagent.agents.ab.agent.posters import PosterSource, visuals_for
from memagent.agents.ab.agent.settings import AgentSettings
from memagent.agents.ab.taste import Habits, TastePolicy
from memagent.encoders import load_encoder
from memagent.encoders.cache import CachedEncoder
from memagent.errors import DataError, UnknownName
from memagent.evals.specs import parse_specs
from memagent.llm.cache import ReplyCache
from memagent.llm.meter import Budget, Prices
from memagent.llm.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from memagent.agents.ab.ratings import Dataset, Split
    from memagent.encoders.port import Encoder
    from memagent.evals.ab.config import ArmOf, Config, Costing, Played, Spending
    from memagent.evals.ab.usage import Usage
    from memagent.llm.meter import Meter

REPLIES, CAPTIONS = "replies.sqlite", "captions.jsonl"
VECTORS = "embeddings.sqlite"
"""Files in the cache's folder: replies, captions and vectors."""


def models_in(cache: Path | None, **options: Any) -> Callable[[str], Model]:
    """Makes models by name or URL; their replies are kept in the cache's folder, if there is one."""

    def made(name: str) -> Model:
        if cache is None:
            return Model(name, **options)
        cache.mkdir(parents=True, exist_ok=True)
        return Model(name, cache=ReplyCache(cache / REPLIES), **options)

    return made


def taste_policy(config: Config, dataset: Dataset, parts: Split) -> TastePolicy:
    """Visitors by held-out ratings, with the habits of the file; raises UnknownName for a habit that there is not."""
    given: dict[str, Any] = dict(config.policy.habits) if config.policy.kind == "taste" else {}
    known = set(Habits.__dataclass_fields__)
    unknown = sorted(set(given) - known)
    if unknown:
        raise UnknownName(f"there is no habit {unknown[0]!r}", hint=f"one of {', '.join(sorted(known))}")
    if given.get("factors", 0.5).is_integer():  # others are refused
        given["factors"] = int(given["factors"])
    return TastePolicy.fitted(dataset, parts.validation, habits=Habits(**given), seed=config.seed)


def ranking_models(arm: ArmOf, cache: Path | None, usage: Usage) -> Callable[[str], Model]:
    """Makes the model that an arm names to put its lists into order; ``usage`` counts it."""
    if not arm.asks:
        return models_in(cache)
    meter = usage.ranker(arm.name or arm.kind, budget_of(arm.budget))
    options = arm.model_dump(include={"timeout", "thinking_tokens"}, exclude_none=True)
    return models_in(cache, prices=_prices(arm.prices), meter=meter, **options)


def agent_policy(
    played: Played, dataset: Dataset, parts: Split, *, base: Path, cache: Path | None, usage: Usage
) -> AgentPolicy:
    """Visitors played by a model; connects to it where ``visuals`` are auto or pictures.

    ``base``: what paths of the file are relative to. They remember the training part. ``usage`` counts their calls.
    """
    meter = usage.visitors(budget_of(played.budget))
    make = models_in(
        cache, prices=_prices(played.prices), meter=meter, concurrency=played.concurrency, timeout=played.timeout,
        thinking_tokens=played.thinking_tokens,
    )  # fmt: skip
    model = make(played.model)
    posters = _posters(played, base, cache, meter)
    visuals = played.visuals
    if visuals in ("auto", "image"):
        visuals = visuals_for(visuals, model.capabilities, captions=_captioned(played))
    settings = AgentSettings(
        visuals="none" if visuals == "auto" else visuals,
        **played.model_dump(include={"summary", "history", "recalled", "journal", "max_tokens", "temperature"}),
    )
    retriever = parse_specs([played.retriever])[0].retriever
    policy = AgentPolicy(
        model,
        Histories(dataset, parts.train),
        settings=settings,
        memory=_with_posters(BankedMemory(retriever=retriever, encoder=_encoder(played, cache)), played, posters),
        posters=posters,
        name=f"agent, {named(model, played.model)}",
    )
    usage.played_by(policy)
    return policy


def named(model: Model, given: str) -> str:
    """What a model is called; for one behind a URL the name that its server gives it, which is asked."""
    if not given.startswith(("http://", "https://")):
        return given
    found, _ = json.JSONDecoder().raw_decode(model.identity)
    return f"{found['model']} at {given}"


def _encoder(played: Played, cache: Path | None) -> Encoder | str | None:
    """The encoder of memories; its vectors are kept in the cache's folder, for both arms and later runs."""
    if cache is None or not played.recalled:
        return played.encoder
    cache.mkdir(parents=True, exist_ok=True)
    return CachedEncoder(load_encoder(played.encoder), cache / VECTORS)


def _captioned(played: Played) -> bool:
    return played.captioner is not None or played.captions is not None


def _with_posters(memory: LongTermMemory, played: Played, posters: PosterSource | None) -> LongTermMemory:
    """The memory, recalled by posters too where a model for them is named."""
    if played.poster_memory is None or posters is None:
        return memory
    from memagent.agents.ab.agent.image_vectors import CLIP, PosterVectors
    from memagent.agents.ab.agent.visual_memory import VisualMemory

    return VisualMemory(memory, PosterVectors(posters, CLIP(played.poster_memory)))


def budget_of(given: Spending | None) -> Budget | None:
    """The budget that a file gives."""
    return Budget(**given.model_dump()) if given else None


def _prices(given: Costing | None) -> Prices | None:
    return Prices(**given.model_dump()) if given else None


def _posters(played: Played, base: Path, cache: Path | None, meter: Meter) -> PosterSource | None:
    if played.visuals == "none" and played.poster_memory is None:
        return None
    captioner = None
    if _captioned(played):
        from memagent.agents.ab.agent.captions import Captions

        path = base / played.captions if played.captions else cache / CAPTIONS if cache else None
        if played.captioner is None and path is not None and not path.exists():
            raise DataError(f"there is no file of captions {path}", hint="see its path, or name a captioner")
        make = models_in(cache, prices=_prices(played.captioner_prices), meter=meter)
        captioner = Captions(make(played.captioner) if played.captioner else None, path=path)
    files = PosterFiles(
        base=base / played.posters, cache=cache / "posters" if cache else None, download=played.download_posters
    )
    return PosterSource(files, captioner=captioner)
