"""From a file of pairs to a tuned adapter, measured before and after."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, Stopped
from memagent.files import claimed_folder, directory_to_use, replacing
from memagent.tuning.loading import add_adapter, check_extra, load_model, load_tokenizer, on_gpu, quiet
from memagent.tuning.measuring import Example, Likelihood, PairMeasure, likelihoods, measure, tokenised
from memagent.tuning.pairs import PreferencePair, split_pairs
from memagent.tuning.settings import DpoSettings
from memagent.tuning.training import Progress, Trained, save_tuned, train_dpo, train_sft

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_RUN = "run.json"
_RESULT = "result.json"
_MIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A finished run.

    ``folder`` holds the adapter (or the whole model). ``trained`` and ``held_out`` pairs; ``too_long`` ones were left
    out. ``before`` and ``after`` measure parts by name, ``train`` and ``held_out``. ``log``: what the trainer logged at
    each step. ``seconds`` of this process, ``peak_mib`` the most memory it held (of the GPU where one was used).
    """

    folder: Path
    trained: int
    held_out: int
    too_long: int
    before: dict[str, PairMeasure]
    after: dict[str, PairMeasure]
    log: tuple[dict[str, float], ...]
    seconds: float
    peak_mib: float

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "folder": self.folder.name}


def tune_dpo(
    pairs: Sequence[PreferencePair],
    model: str | Path,
    out: str | Path,
    *,
    settings: DpoSettings | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Tune a model on pairs and write ``out/adapter`` (``out/model`` where all weights are tuned) and ``result.json``.

    ``model``: a folder, or a name on the hub. Checkpoints are kept in ``out/dpo``, and the same call goes on from the
    last one after a stop; when the run is done they may be deleted. Raises :class:`~memagent.errors.MissingExtra`
    without the extra ``tune``, InvalidInput where the model, the pairs or the folder cannot be used (by another run at
    the same time, or for want of room), and :class:`Stopped` on an interrupt.
    """
    check_extra()
    settings = settings or DpoSettings()
    folder = directory_to_use(out, "the folder to write to")
    tokenizer = load_tokenizer(model)
    run = _Run(tokenizer, pairs, settings, progress)
    with _claimed(folder, {"model": str(model), "settings": settings.to_json(), "pairs": _digest(pairs)}):
        try:
            return run.tune(model, folder)
        except KeyboardInterrupt:
            raise Stopped("stopped", hint="run the same command to resume from the last checkpoint") from None


class _Run:
    """Pairs, prepared once; :meth:`tune` does the work."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        pairs: Sequence[PreferencePair],
        settings: DpoSettings,
        progress: Progress | None,
    ) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._progress = progress
        examples = [(pair, tokenised(tokenizer, pair)) for pair in pairs]
        fitting = {id(pair): example for pair, example in examples if example.length <= settings.max_length}
        usable = [pair for pair in pairs if id(pair) in fitting]
        self.too_long = len(pairs) - len(usable)
        if not usable:
            raise InvalidInput(
                f"none of the {len(pairs)} pairs fits into {settings.max_length} tokens",
                hint="allow a greater length, or pass pairs",
            )
        self.train, self.held_out = split_pairs(usable, held_out=settings.held_out, seed=settings.seed)
        parts = {"train": self.train, "held_out": self.held_out}
        self._parts = {name: [fitting[id(pair)] for pair in self._drawn(part)] for name, part in parts.items()}

    def tune(self, source: str | Path, folder: Path) -> Tuned:
        """Supervised tuning if it is wanted, measures, DPO, measures again."""
        began, settings = time.monotonic(), self._settings
        model = self._started(source, folder)
        reference = self._likelihoods(model, "measuring before")
        target = folder / ("adapter" if settings.lora else "model")
        trained = train_dpo(model, self._tokenizer, self.train, folder / "dpo", settings, progress=self._progress)
        after = self._likelihoods(trained.model, "measuring after")
        _saved(trained, self._tokenizer, target)
        tuned = Tuned(
            folder=target,
            trained=len(self.train),
            held_out=len(self.held_out),
            too_long=self.too_long,
            before=self._measured(reference, reference),
            after=self._measured(after, reference),
            log=trained.log,
            seconds=round(time.monotonic() - began, 1),
            peak_mib=round(_peak(settings), 1),
        )
        _write(folder / _RESULT, {"settings": settings.to_json(), **tuned.to_json()})
        return tuned

    def _started(self, source: str | Path, folder: Path) -> Any:
        """The model from which DPO starts: as it is, or tuned on the chosen outputs first."""
        settings, kept = self._settings, folder / "sft-model"
        with quiet():
            if settings.sft is None:
                return load_model(source, settings)
            if not kept.is_dir():
                model = load_model(source, settings)
                trained = train_sft(
                    model, self._tokenizer, self.train, folder / "sft", settings, progress=self._progress
                )
                _saved(trained, self._tokenizer, kept)
            if settings.lora is None:
                return load_model(kept, settings)
            return add_adapter(load_model(source, settings), kept)

    def _likelihoods(self, model: Any, doing: str) -> dict[str, list[Likelihood]]:
        total = sum(map(len, self._parts.values()))
        found: dict[str, list[Likelihood]] = {}
        for name, part in self._parts.items():
            done = sum(map(len, found.values()))
            told = partial(self._tell, doing, done, total) if self._progress else None
            found[name] = likelihoods(model, part, told=told)
        return found

    def _tell(self, doing: str, before: int, total: int, done: int, _of: int) -> None:
        if self._progress:
            self._progress(doing, before + done, total)

    def _measured(
        self, model: dict[str, list[Likelihood]], reference: dict[str, list[Likelihood]]
    ) -> dict[str, PairMeasure]:
        return {name: measure(model[name], reference[name], beta=self._settings.beta) for name in model if model[name]}

    def _drawn(self, pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
        """The pairs of one part that are measured."""
        if len(pairs) <= self._settings.measured:
            return list(pairs)
        return random.Random(self._settings.seed).sample(list(pairs), self._settings.measured)


def score_pairs(
    pairs: Sequence[PreferencePair],
    model: str | Path,
    *,
    adapter: str | Path | None = None,
    settings: DpoSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, PairMeasure]:
    """How a model with an adapter does on pairs against itself without: on ``all``, and by ``PreferencePair.kind``.

    Without an adapter there is nothing to compare, and only ``likelier`` says something. Pairs longer than
    ``max_length`` are left out. Raises what :func:`tune_dpo` raises.
    """
    check_extra()
    settings = settings or DpoSettings()
    if adapter is not None and not (Path(adapter) / "adapter_config.json").is_file():
        raise InvalidInput(f"{adapter} holds no adapter", hint="name the folder `adapter` of a tuning run")
    tokenizer = load_tokenizer(model)
    examples: list[tuple[PreferencePair, Example]] = [(pair, tokenised(tokenizer, pair)) for pair in pairs]
    used = [(pair, example) for pair, example in examples if example.length <= settings.max_length]
    if not used:
        raise InvalidInput("there is no pair to measure", hint="pass pairs, or allow a greater length")
    only = [example for _, example in used]
    with quiet():
        loaded: Any = load_model(model, settings)
        told = (lambda done, total: progress("measuring", done, total)) if progress else None
        reference = likelihoods(loaded, only, told=told)
        own = reference
        if adapter is not None:
            own = likelihoods(add_adapter(loaded, Path(adapter)), only, told=told)
    kinds = [pair.kind for pair, _ in used]
    measured = {"all": measure(own, reference, beta=settings.beta)}
    for kind in sorted(set(kinds)):
        places = [place for place, name in enumerate(kinds) if name == kind]
        measured[kind] = measure([own[at] for at in places], [reference[at] for at in places], beta=settings.beta)
    return measured


def _saved(trained: Trained, tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    """Save under another name first: a folder of this name is whole."""
    unfinished = target.with_name(f"{target.name}.partial")
    with quiet():
        save_tuned(trained.model, tokenizer, unfinished)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)


@contextmanager
def _claimed(folder: Path, identity: dict[str, Any]) -> Iterator[None]:
    """The folder is this run's inside the block.

    Raises InvalidInput where another run writes to it, it holds another's checkpoints, or it cannot be written.
    """
    place = folder / _RUN
    wanted = json.loads(json.dumps(identity))
    with claimed_folder(folder):
        try:
            if place.is_file() and _json(place) != wanted:
                raise InvalidInput(
                    f"{folder} was begun with another model, other pairs or other settings",
                    hint="name another folder, or delete it",
                )
            _write(place, wanted)
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be used: {error.strerror}", hint="name another folder") from error
        try:
            yield
        except OSError as error:  # the model was read before: what is left is to write
            raise InvalidInput(
                f"{folder} cannot be written: {error.strerror or error}",
                hint="make room, and run the same command to resume from the last checkpoint",
            ) from error


def _json(place: Path) -> Any:
    """The JSON value in a file; None if it holds none."""
    try:
        return json.loads(place.read_text("utf-8"))
    except ValueError:
        return None


def _write(place: Path, content: dict[str, Any]) -> None:
    with replacing(place, mode=0o644) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _digest(pairs: Sequence[PreferencePair]) -> str:
    told = hashlib.sha256()
    for pair in pairs:
        told.update(json.dumps(pair.record(), sort_keys=True).encode())
    return told.hexdigest()


def _peak(settings: DpoSettings) -> float:
    """The most memory held, in MiB."""
    if on_gpu(settings):
        import torch

        return torch.cuda.max_memory_allocated() / _MIB / _MIB
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (_MIB * _MIB if sys.platform == "darwin" else _MIB)
