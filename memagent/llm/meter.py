"""What a run has used of a model, and the most it may use."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from memagent.errors import BudgetExceeded, InvalidInput
from memagent.llm.reply import Usage
from memagent.llm.tally import note

_MILLION = 1_000_000
_BYTES_PER_TOKEN = 3.0  # of prompts, before any reply has told; English has about 4, other scripts fewer
_TEMPLATE = 32  # tokens that a chat template adds
_TELLING = 2_000  # bytes of a prompt from which on its tokens say something about its language
_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a million tokens cost, in one currency. ``cached``: input tokens that the server had in its prefix cache."""

    input: float
    output: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached"):
            price = getattr(self, name)
            if price is not None and not 0 <= price < math.inf:
                raise InvalidInput(f"the price of {name} tokens is {price}", hint="prices are numbers, 0 or more")

    def cost(self, usage: Usage) -> float:
        """The cost of these tokens."""
        cached = self.input if self.cached is None else self.cached
        fresh = usage.input - usage.cached
        return (fresh * self.input + usage.cached * cached + usage.output * self.output) / _MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that one run may use; None is no limit.

    A call is not made if it could exceed the budget: it counts with its estimated prompt and all of its ``max_tokens``
    until its reply says what it took. Replies from the cache cost nothing. Use a new :class:`Meter` for a new run.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "cost"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise InvalidInput(f"the budget's {name} is {limit}", hint="use 0 or more, or None for no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What was used so far.

    ``calls`` were sent and answered, ``cached`` came from the reply cache; ``usage`` is of the calls, ``saved`` what
    the cached replies took when they were made. ``malformed`` counts replies by reason, ``repaired`` those that could
    be read after all by what was mended, ``retried`` repeated calls by the kind of failure, ``failed`` calls given up
    by the class of the error. ``by_prompt``: calls by name and version. ``seconds``: the sum of all calls' times.
    """

    calls: int = 0
    cached: int = 0
    usage: Usage = field(default_factory=Usage)
    saved: Usage = field(default_factory=Usage)
    cost: float = 0.0
    seconds: float = 0.0
    malformed: Mapping[str, int] = field(default_factory=lambda: _NONE)
    repaired: Mapping[str, int] = field(default_factory=lambda: _NONE)
    retried: Mapping[str, int] = field(default_factory=lambda: _NONE)
    failed: Mapping[str, int] = field(default_factory=lambda: _NONE)
    by_prompt: Mapping[str, int] = field(default_factory=lambda: _NONE)

    def as_dict(self) -> dict[str, Any]:
        """For result files: plain numbers and dicts."""
        return {
            "calls": self.calls,
            "cached_replies": self.cached,
            "input_tokens": self.usage.input,
            "output_tokens": self.usage.output,
            "prefix_cached_tokens": self.usage.cached,
            "tokens_estimated": self.usage.estimated,
            "saved_tokens": self.saved.input + self.saved.output,
            "cost": round(self.cost, 9),
            "seconds": round(self.seconds, 3),
            "malformed": dict(self.malformed),
            "repaired": dict(self.repaired),
            "retried": dict(self.retried),
            "failed": dict(self.failed),
            "by_prompt": dict(self.by_prompt),
        }


class Meter:
    """Counts calls, tokens and cost of one run, and holds them to its budget. Safe from several threads.

    Several models may share a meter (a reader and a judge under one budget), each with prices of its own. ``within``:
    a meter that counts all that this one counts, and whose budget holds beside this one's: so parts of a run can be
    told apart under one budget.
    """

    def __init__(self, budget: Budget | None = None, *, within: Meter | None = None) -> None:
        self.budget = budget or Budget()
        self._within = within
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("malformed", "repaired", "retried", "failed", "by_prompt")
        }
        self._calls = 0
        self._cached = 0
        self._usage = Usage()
        self._saved = Usage()
        self._cost = 0.0
        self._seconds = 0.0
        self._held = _Held()
        self._bytes_per_token = _BYTES_PER_TOKEN

    def totals(self) -> Totals:
        """What was used so far, in one piece."""
        with self._lock:
            return Totals(
                calls=self._calls,
                cached=self._cached,
                usage=self._usage,
                saved=self._saved,
                cost=self._cost,
                seconds=self._seconds,
                **{name: MappingProxyType(dict(counts)) for name, counts in self._counts.items()},
            )

    def reserve(self, text: str, max_tokens: int, prices: Prices | None, *, plain: bool = True) -> Reservation:
        """Set aside what one call may take; raises :class:`BudgetExceeded` where that is more than is left.

        ``plain``: the prompt is ``text`` alone, so that its tokens tell how many a text has; pictures have others.
        """
        if self.budget.cost is not None and prices is None:
            raise InvalidInput("a budget in money needs prices", hint="pass prices=Prices(input=..., output=...)")
        size = len(text.encode("utf-8", "surrogatepass"))
        outer = self._within.reserve(text, max_tokens, prices, plain=plain) if self._within else None
        try:
            with self._lock:
                usage = Usage(input=int(size / self._bytes_per_token) + _TEMPLATE, output=max_tokens)
                needed = _Held(calls=1, tokens=usage.input + usage.output, cost=prices.cost(usage) if prices else 0.0)
                self._refuse_beyond(needed)
                self._held += needed
        except BudgetExceeded:
            if outer:
                outer.release()
            raise
        return Reservation(self, needed, size if plain else 0, prices, outer)

    def _refuse_beyond(self, needed: _Held) -> None:
        limit, used = self.budget, self._usage.input + self._usage.output
        for name, most, spent, held, more in (
            ("calls", limit.calls, self._calls, self._held.calls, needed.calls),
            ("tokens", limit.tokens, used, self._held.tokens, needed.tokens),
            ("cost", limit.cost, self._cost, self._held.cost, needed.cost),
        ):
            if most is not None and spent + held + more > most:
                left = max(0, most - spent - held)
                raise BudgetExceeded(
                    f"the budget of {most:,} {name} has {left:,.6g} left, and the next call may take {more:,.6g}",
                    hint="raise the budget; with a reply cache the same run goes on from here",
                )

    def count(self, what: str, name: str) -> None:
        """Count one event: ``malformed``, ``repaired``, ``retried`` or ``failed``."""
        with self._lock:
            self._counts[what][name] += 1
        if self._within:
            self._within.count(what, name)

    def count_cached(self, usage: Usage) -> None:
        """Count a reply that came from the cache."""
        if self._within:
            self._within.count_cached(usage)
        else:
            note(usage, cached=True)
        with self._lock:
            self._cached += 1
            self._saved += usage

    def _settle(self, held: _Held, spent: _Spent | None) -> None:
        with self._lock:
            self._held -= held
            if spent is None:
                return
            if not self._within:  # the outermost tells it, once
                note(spent.usage, cached=False)
            self._calls += 1
            self._usage += spent.usage
            self._cost += spent.prices.cost(spent.usage) if spent.prices else 0.0
            self._seconds += spent.seconds
            self._counts["by_prompt"][spent.label] += 1
            if spent.size >= _TELLING and spent.usage.input and not spent.usage.estimated:
                # Estimates follow the least favourable text seen.
                self._bytes_per_token = min(self._bytes_per_token, spent.size / spent.usage.input)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: _Held) -> _Held:
        return _Held(calls=self.calls + other.calls, tokens=self.tokens + other.tokens, cost=self.cost + other.cost)

    def __sub__(self, other: _Held) -> _Held:
        return _Held(calls=self.calls - other.calls, tokens=self.tokens - other.tokens, cost=self.cost - other.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spent:
    usage: Usage
    prices: Prices | None
    seconds: float
    label: str
    size: int


class Reservation:
    """What is set aside for one call, until :meth:`spend` or :meth:`release`, whichever comes first."""

    def __init__(
        self, meter: Meter, held: _Held, size: int, prices: Prices | None, outer: Reservation | None = None
    ) -> None:
        self._meter = meter
        self._outer = outer
        self._held: _Held | None = held
        self._size = size
        self._prices = prices

    def spend(self, usage: Usage, *, label: str, seconds: float) -> None:
        """The call was answered and took this much."""
        if self._outer:
            self._outer.spend(usage, label=label, seconds=seconds)
        self._settle(_Spent(usage=usage, prices=self._prices, seconds=seconds, label=label, size=self._size))

    def release(self) -> None:
        """The call was not answered."""
        if self._outer:
            self._outer.release()
        self._settle(None)

    def _settle(self, spent: _Spent | None) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._meter._settle(held, spent)
