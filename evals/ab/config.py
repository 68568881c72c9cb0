"""The file that describes an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from memagent.agents.ab.arms.llm_ranker import LLMRanking
from memagent.agents.ab.calibration import TARGETS
from memagent.agents.ab.fatigue import BUDGETS, COSTS
from memagent.agents.ab.metrics import METRICS
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.sandbox import MAX_PAGES, MAX_STEPS, PAGE_SIZE
from memagent.errors import DataError

C = TypeVar("C", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Part):
    """Where the ratings come from. Paths are relative to the file."""

    kind: Literal["ml-100k", "ml-1m", "tables", "synthetic"]
    path: Path | None = None
    """MovieLens: the folder."""
    items: Path | None = None
    ratings: Path | None = None
    users: Path | None = None
    """Tables: the files; ``users`` may be left out."""
    size: int = 300
    """Synthetic: the number of users."""


class SplitBy(_Part):
    """See :func:`memagent.agents.ab.ratings.split`."""

    by: Literal["user-time", "user-random", "time"] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    data_share: Annotated[float, Field(gt=0, le=1)] = 1.0


class Spending(_Part):
    """See :class:`memagent.llm.meter.Budget`."""

    calls: Annotated[int, Field(ge=0)] | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None
    cost: Annotated[float, Field(ge=0)] | None = None


class Costing(_Part):
    """What a million tokens cost; see :class:`memagent.llm.meter.Prices`."""

    input: float
    output: float
    cached: float | None = None


class ArmOf(_Part):
    """An arm: ``kind`` and its parameters; ``name`` tells two of a kind apart.

    For ``llm-ranker``, of its model: ``prices``, a ``budget`` of its own beside that of the experiment, ``timeout`` and
    ``thinking_tokens`` as :class:`memagent.llm.Model` has them. Only the last tells an experiment from another: a run
    is resumed with more of the others.
    """

    kind: str
    name: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0)] = 0
    budget: Spending | None = None
    prices: Costing | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    thinking_tokens: Annotated[int, Field(ge=0)] | None = None

    @property
    def asks(self) -> bool:
        """A model puts its lists into order."""
        return self.kind == LLMRanking.kind

    @model_validator(mode="after")
    def _priced(self) -> Self:
        given = [n for n in ("budget", "prices", "timeout", "thinking_tokens") if getattr(self, n) is not None]
        if given and not self.asks:
            raise ValueError(f"{self.kind} asks no model: only {LLMRanking.kind} has {' and '.join(given)}")
        if self.budget is not None and self.budget.cost is not None and self.prices is None:
            raise ValueError("a budget of cost needs prices")
        return self


class Page(_Part):
    """See :class:`memagent.agents.ab.sandbox.Layout`."""

    page_size: int = PAGE_SIZE
    max_pages: int = MAX_PAGES
    max_steps: int = MAX_STEPS


class Tiring(_Part):
    """See :class:`memagent.agents.ab.fatigue.Fatigue`."""

    costs: dict[Kind, float] = Field(default_factory=lambda: dict(COSTS))
    phi_min: float = 0.5
    phi_max: float = 1.5
    budgets: dict[int, float] = Field(default_factory=lambda: dict(BUDGETS))
    by_interest: bool = True
    enabled: bool = True


class Calibrating(_Part):
    """Fit the budgets first, on ``users`` users who are not in the experiment if there are so many."""

    arm: str
    users: Annotated[int, Field(ge=1)] = 400
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [1001, 1002, 1003]
    targets: dict[int, float] = Field(default_factory=lambda: dict(TARGETS))


class Tasting(_Part):
    """The policy without a language model; ``habits`` as in :class:`memagent.agents.ab.taste.Habits`."""

    kind: Literal["taste"] = "taste"
    habits: dict[str, float] = Field(default_factory=dict)


class Played(_Part):
    """The policy whose visitors are played by a language model.

    ``model``: a URL, or a name as :class:`memagent.llm.Model` takes it. ``retriever``: NAME or 'NAME[param=value]';
    ``encoder`` a sentence-transformers model. ``visuals``: how posters are shown; ``captioner`` names a vision model
    that writes captions (within the same ``budget``), ``captions`` a file that holds some; ``poster_memory`` a CLIP
    model, by whose vectors of posters memories are recalled beside their texts. ``posters``: the folder that paths of
    posters begin at, and that none may leave. The rest is
    :class:`memagent.agents.ab.agent.settings.AgentSettings`.
    """

    kind: Literal["agent"]
    model: str
    visuals: Literal["auto", "image", "caption", "none"] = "none"
    captioner: str | None = None
    captions: Path | None = None
    posters: Path = Path()
    download_posters: bool = False
    retriever: str = "hybrid"
    encoder: str | None = None
    poster_memory: str | None = None
    summary: Literal["llm", "statistical"] = "statistical"
    history: Annotated[int, Field(ge=0)] = 50
    recalled: Annotated[int, Field(ge=0)] = 5
    journal: Annotated[int, Field(ge=1)] = 12
    max_tokens: Annotated[int, Field(ge=1)] = 160
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    thinking_tokens: Annotated[int, Field(ge=0)] = 0
    concurrency: Annotated[int, Field(ge=1)] = 16
    timeout: Annotated[float, Field(gt=0)] = 120.0
    budget: Spending | None = None
    prices: Costing | None = None
    captioner_prices: Costing | None = None

    @property
    def unpriced(self) -> list[str]:
        """The fields that a budget of cost needs."""
        models = (("prices", self.model), ("captioner_prices", self.captioner))
        return [name for name, model in models if model is not None and getattr(self, name) is None]

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.budget is not None and self.budget.cost is not None and self.unpriced:
            raise ValueError(f"a budget of cost needs {' and '.join(self.unpriced)}")
        return self

    @model_validator(mode="after")
    def _captioned(self) -> Self:
        if self.visuals == "caption" and self.captioner is None and self.captions is None:
            raise ValueError("visuals caption needs a captioner, or captions")
        return self


class Stop(_Part):
    """See :class:`memagent.agents.ab.sequential.Stopping`."""

    alpha: float = 0.05
    least: int = 100
    tuned_for: int = 500


class Config(_Part):
    """An experiment. The first arm is the baseline. ``budget`` bounds all models that have a part in it together."""

    title: str = "A/B test in the sandbox"
    data: Data
    split: SplitBy = SplitBy()
    arms: Annotated[list[ArmOf], Field(min_length=1)]
    users: Annotated[int, Field(ge=1)] | list[str] = 1000
    policy: Annotated[Tasting | Played, Field(discriminator="kind")] = Tasting()
    seed: Annotated[int, Field(ge=0)] = 0
    visits: Annotated[int, Field(ge=1)] = 1
    primary: str = "ctr"
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    layout: Page = Page()
    fatigue: Tiring = Tiring()
    calibrate: Calibrating | None = None
    stopping: Stop | None = None
    position_check: bool = False
    offline: bool = True
    budget: Spending | None = None

    @field_validator("arms", mode="before")
    @classmethod
    def _short_arms(cls, arms: Any) -> Any:
        """``- popularity`` is short for ``- kind: popularity``."""
        return [{"kind": arm} if isinstance(arm, str) else arm for arm in arms] if isinstance(arms, list) else arms

    @field_validator("users", mode="before")
    @classmethod
    def _ids(cls, users: Any) -> Any:
        """Ids are texts, also those that YAML reads as whole numbers."""
        return [str(i) if type(i) is int else i for i in users] if isinstance(users, list) else users

    @field_validator("policy", mode="before")
    @classmethod
    def _kind_of_policy(cls, policy: Any) -> Any:
        """Without a kind it is the one without a language model."""
        return {"kind": "taste", **policy} if isinstance(policy, dict) else policy

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.budget is not None and self.budget.cost is not None:
            wanting = [f"policy.{name}" for name in (self.policy.unpriced if self.policy.kind == "agent" else ())]
            wanting += [f"prices of the arm {arm.name or arm.kind}" for arm in self.arms if arm.asks and not arm.prices]
            if wanting:
                raise ValueError(f"a budget of cost needs {' and '.join(wanting)}")
        return self

    @field_validator("primary")
    @classmethod
    def _measured(cls, primary: str) -> str:
        if primary not in METRICS:
            raise ValueError(f"{primary!r} is no metric; one of {', '.join(METRICS)}")
        return primary


@overload
def read_config(path: Path) -> Config: ...
@overload
def read_config(path: Path, kind: type[C]) -> C: ...
def read_config(path: Path, kind: type[Any] = Config) -> Any:
    """The experiment of a YAML file, or what another ``kind`` of file describes.

    Raises DataError, naming each field that cannot be used.
    """
    import yaml

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}", hint="give a YAML file") from error
    if not isinstance(given, dict):
        raise DataError(f"{path} holds no settings", hint="see `memagent eval ab --help` for an example")
    try:
        json.dumps(given, ensure_ascii=False, skipkeys=True, default=str).encode()
    except UnicodeEncodeError:
        raise DataError(f"{path} holds a lone surrogate", hint="write the character itself, not its halves") from None
    except (ValueError, RecursionError):  # an alias within its own anchor
        raise DataError(f"{path} is nested without end", hint="write the values out") from None
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"{path}: {faults}", hint="mend these fields") from error
