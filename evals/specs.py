"""Retrievers as they are named on a command line: ``dense``, ``dense[by=session]``, ``--set bm25.k1=1.5``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from memagent import retrievers
from memagent.errors import DuplicateId, InvalidInput, UnknownName

if TYPE_CHECKING:
    from memagent.retrievers.port import Retriever

_SPEC = re.compile(r"([^\[\]=,]+)(?:\[([^\[\]]*)\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverSpec:
    """A retriever of a run and the label its figures stand under."""

    label: str
    name: str
    retriever: Retriever

    @property
    def params(self) -> dict[str, Any]:
        """All its parameters, those left at their defaults too."""
        return asdict(self.retriever)  # type: ignore[call-overload,no-any-return]  # every retriever is a dataclass


def parse_specs(
    specs: Sequence[str], settings: Sequence[str] = (), *, refused: dict[str, str] | None = None
) -> tuple[RetrieverSpec, ...]:
    """The retrievers named by ``specs``, with ``settings`` (``NAME.param=value``) applied.

    A setting holds for every spec of that name which does not itself give the parameter. Raises
    :class:`UnknownName` for a retriever or parameter that does not exist, :class:`InvalidInput` for a
    value that does not fit or a spec that cannot be read, :class:`DuplicateId` for the same spec twice.
    With ``refused`` a spec whose values do not fit is left out, and entered there with the reason.
    """
    if not specs:
        raise InvalidInput("no retriever to evaluate", hint=f"use some of {', '.join(retrievers.names())}")
    parsed = [_parse(spec) for spec in specs]
    defaults: dict[str, dict[str, str]] = {name: {} for name, _ in parsed}
    for setting in settings:
        name, param, value = _setting(setting)
        if name not in defaults:
            raise UnknownName(f"--set {setting}: {name!r} is not evaluated", hint=f"use one of {', '.join(defaults)}")
        defaults[name][param] = value
    made = []
    for spec, (name, inline) in zip(specs, parsed, strict=True):
        try:
            retriever = retrievers.make(name, **{**defaults[name], **inline})
        except InvalidInput as error:
            if refused is None or isinstance(error, UnknownName):
                raise
            refused[spec] = error.message
        else:
            made.append(RetrieverSpec(label=_label(name, inline), name=name, retriever=retriever))
    labels = [spec.label for spec in made]
    for label in labels:
        if labels.count(label) > 1:
            raise DuplicateId(f"retriever {label!r} is named twice", hint="give one of them other parameters")
    return tuple(made)


def baseline_label(specs: Sequence[RetrieverSpec], baseline: str | None) -> str:
    """The label of the retriever that the others are compared with: the one named, else the first.

    Raises :class:`UnknownName` when it is not among ``specs``.
    """
    labels = [spec.label for spec in specs]
    if baseline is None:
        return labels[0]
    if baseline not in labels:
        raise UnknownName(f"the baseline {baseline!r} is not evaluated", hint=f"use one of {', '.join(labels)}")
    return baseline


def units_used(specs: Sequence[RetrieverSpec]) -> frozenset[str]:
    """The derived units that some of these retrievers rank by, as they say themselves (``uses_units``)."""
    return frozenset(str(unit) for spec in specs for unit in getattr(spec.retriever, "uses_units", ()))


def edges_used(specs: Sequence[RetrieverSpec]) -> bool:
    """Whether some of these retrievers follow stored associations, as they say themselves (``uses_edges``)."""
    return any(getattr(spec.retriever, "uses_edges", False) for spec in specs)


def _parse(spec: str) -> tuple[str, dict[str, str]]:
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise InvalidInput(f"cannot read the retriever {spec!r}", hint="write name or name[param=value,param=value]")
    inline: dict[str, str] = {}
    for pair in filter(None, map(str.strip, (match[2] or "").split(","))):
        param, equals, value = pair.partition("=")
        if not equals or not param.strip() or param.strip() in inline:
            raise InvalidInput(f"cannot read {pair!r} in {spec!r}", hint="write name[param=value,param=value]")
        inline[param.strip()] = value.strip()
    return match[1].strip(), inline


def _setting(setting: str) -> tuple[str, str, str]:
    place, equals, value = setting.partition("=")
    name, dot, param = place.strip().rpartition(".")
    if not equals or not dot or not name or not param:
        raise InvalidInput(f"cannot read --set {setting!r}", hint="write NAME.param=value, for example bm25.k1=1.5")
    return name, param, value.strip()


def _label(name: str, inline: dict[str, str]) -> str:
    return f"{name}[{','.join(f'{param}={value}' for param, value in inline.items())}]" if inline else name
