"""Runs a plan of variants and puts every figure beside the whole method and beside its baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput
from memagent.evals.ablation_plans import Group, Plan, Variant
from memagent.evals.ablation_table import markdown_page
from memagent.evals.result import build_result, differences, write_result
from memagent.evals.rows import write_bytes, write_text
from memagent.evals.specs import parse_specs
from memagent.evals.statistics import RESAMPLES

if TYPE_CHECKING:
    from memagent.evals.measuring import Measured
    from memagent.evals.specs import RetrieverSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A plan's retrievers, each different one once, the method first and the baseline second.

    ``label_of``: for each spec that the plan names, the label of the retriever that it is. A variant that sets a
    parameter to the value it has anyway is the method itself. ``refused``: the specs that cannot be made with the
    settings given, and why.
    """

    specs: tuple[RetrieverSpec, ...]
    method: str
    baseline: str
    label_of: Mapping[str, str]
    refused: Mapping[str, str]


def resolve(plan: Plan, settings: Sequence[str] = (), *, baseline: str | None = None) -> Resolved:
    """The retrievers of a plan, with ``settings`` (``NAME.param=value``) for all that do not say otherwise.

    A variant that does not go together with the settings (a calibrated gate with another probe) is left out. Raises as
    :func:`~memagent.evals.specs.parse_specs` does for the rest.
    """
    beside = baseline or plan.baseline
    needed = list(dict.fromkeys((plan.method, beside)))
    variants = dict.fromkeys(variant.spec for group in plan.groups for variant in group.variants)
    different = [*needed, *(spec for spec in variants if spec not in needed)]
    refused: dict[str, str] = {}
    made = iter(parse_specs(different, settings, refused=refused))
    kept: dict[Any, RetrieverSpec] = {}
    label_of = {}
    for text in different:
        if text not in refused:
            spec = next(made)
            label_of[text] = kept.setdefault(spec.retriever, spec).label
        elif text in needed:
            raise InvalidInput(f"{text} cannot be run: {refused[text]}", hint="give other values with --set")
    return Resolved(
        specs=tuple(kept.values()),
        method=label_of[plan.method],
        baseline=label_of[beside],
        label_of=label_of,
        refused=refused,
    )


def build_ablation(
    measured: Measured,
    plan: Plan,
    resolved: Resolved,
    *,
    command: Sequence[str] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """A result as of ``memagent eval retrieval``, and how its rows belong together.

    ``paired`` of a row is against the method; ``paired_to_baseline`` is the same against the baseline. ``groups`` holds
    for each group of the plan its variants with the ``retriever`` of ``rows`` that each one is; ``refused`` the specs
    that could not be made, and why.
    """
    result = build_result(
        measured.run,
        encoder=measured.encoder,
        encode_ms=measured.encode_ms,
        command=command,
        baseline=resolved.method,
        seed=seed,
        resamples=resamples,
    )
    beside = differences(measured.run, resolved.baseline, seed=seed, resamples=resamples)
    rows = [{**row, "paired_to_baseline": beside[row["retriever"]]} for row in result["rows"]]
    method = next(row["params"] for row in rows if row["retriever"] == resolved.method)
    return {
        **result,
        "method": resolved.method,
        "baseline": resolved.baseline,
        "rows": rows,
        "groups": [_group(group, method, resolved) for group in plan.groups],
        "refused": dict(resolved.refused),
    }


def write_ablation(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the pictures, the page and the result into a folder; raises InvalidInput when they cannot be written."""
    from memagent.evals.ablation_plots import draw

    for name, picture in draw(result).items():
        write_bytes(folder / name, picture)
    write_text(folder / "ablation.md", markdown_page(result))
    write_result(folder / "ablation.json", result)


def _group(group: Group, method: Mapping[str, Any], resolved: Resolved) -> dict[str, Any]:
    return {
        "title": group.title,
        "about": group.about,
        "parameter": group.parameter,
        "at": method[group.parameter] if group.parameter else None,
        "variants": [_variant(variant, resolved) for variant in group.variants if variant.spec in resolved.label_of],
        "plot": group.plot,
    }


def _variant(variant: Variant, resolved: Resolved) -> dict[str, Any]:
    return {
        "name": variant.name or variant.spec,
        "spec": variant.spec,
        "value": variant.value,
        "retriever": resolved.label_of[variant.spec],
    }
