from __future__ import annotations

import json
import math
import resource
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import TEMPLATE, one_thread, pair, save_tiny_model

from memagent.errors import InvalidInput, MissingExtra, Stopped, UnknownName
from memagent.tuning import loading
from memagent.tuning.measuring import Likelihood, likelihoods, measure, tokenised
from memagent.tuning.run import score_pairs, tune_dpo
from memagent.tuning.settings import PUBLISHED, DpoSettings, LoraSettings, SftSettings
from memagent.tuning.training import last_checkpoint

PAIRS = [pair(number) for number in range(20)]
QUICK = DpoSettings(
    learning_rate=0.02, lora=LoraSettings(rank=4), warmup=0.0, held_out=0.2, device="cpu", save_memory=False
)


@pytest.fixture(scope="module", autouse=True)
def _trainers() -> None:
    """Imported here and not while tests are collected: that takes seconds, in each process of a test run."""
    pytest.importorskip("trl")
    pytest.importorskip("peft")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_the_defaults_are_the_published_settings() -> None:
    assert DpoSettings(lora=None) == PUBLISHED
    values = PUBLISHED.to_json()
    assert {name: values[name] for name in ("beta", "learning_rate", "schedule", "warmup", "epochs")} == {
        "beta": 0.3,
        "learning_rate": 1e-6,
        "schedule": "cosine",
        "warmup": 0.2,
        "epochs": 1.0,
    }
    assert (PUBLISHED.batch_size, PUBLISHED.accumulation, PUBLISHED.max_length, PUBLISHED.held_out) == (
        1,
        2,
        10_000,
        0.1,
    )
    for settings in (PUBLISHED, QUICK, replace(QUICK, sft=SftSettings(), lora=LoraSettings(targets=("q_proj",)))):
        assert DpoSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize(
    "change",
    [{"beta": 0}, {"learning_rate": math.nan}, {"batch_size": 0}, {"warmup": 1}, {"held_out": -0.1}, {"epochs": 0}],
)
def test_senseless_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(change))):
        DpoSettings(**change)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="cosine"):
        DpoSettings(schedule="step")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="rank"):
        LoraSettings(rank=0)


def test_the_margin_is_the_difference_of_what_both_outputs_gained() -> None:
    reference = [Likelihood(chosen=-10.0, rejected=-8.0), Likelihood(chosen=-5.0, rejected=-6.0)]
    tuned = [Likelihood(chosen=-7.0, rejected=-9.0), Likelihood(chosen=-6.0, rejected=-6.5)]
    found = measure(tuned, reference, beta=0.5)
    assert found.margin == pytest.approx((0.5 * (3 + 1) + 0.5 * (-1 + 0.5)) / 2)
    assert (found.pairs, found.accuracy, found.likelier) == (2, 0.5, 1.0)
    same = measure(reference, reference, beta=0.5)
    assert (same.accuracy, same.margin, same.likelier) == (0.0, 0.0, 0.5)
    assert measure([], [], beta=0.5).pairs == 0


def test_the_likelihood_of_an_output_is_that_of_its_tokens_after_the_prompt(tiny: Path) -> None:
    import torch

    tokenizer = loading.load_tokenizer(tiny)
    example = tokenised(tokenizer, PAIRS[3])
    assert tokenizer.decode(list(example.chosen)) == "So the answer is <answer>Ann 3</answer><|im_end|>\n"
    assert str(tokenizer.decode(list(example.prompt))).endswith("<|im_start|>assistant\n")
    model = loading.load_model(tiny, QUICK)
    (found,) = likelihoods(model, [example])
    ids = torch.tensor([[*example.prompt, *example.rejected]])
    with torch.no_grad():
        scores = model(input_ids=ids).logits[0].log_softmax(-1)
    begins = len(example.prompt)
    expected = sum(float(scores[begins - 1 + at, token]) for at, token in enumerate(example.rejected))
    assert found.rejected == pytest.approx(expected, rel=1e-4)


def test_tuning_raises_the_margin_and_leaves_an_adapter(tiny: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    tuned = tune_dpo(PAIRS, tiny, tmp_path / "out", settings=QUICK, progress=lambda *at: told.append(at))
    assert (tuned.trained, tuned.held_out, tuned.too_long) == (16, 4, 0)
    assert tuned.before["train"].margin == 0.0
    assert tuned.after["train"].margin > 0.5
    assert tuned.after["train"].accuracy == 1.0
    assert tuned.after["held_out"].margin > 0.5
    assert tuned.log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert tuned.log[-1]["loss"] < 0.5
    assert ("dpo", 8, 8) in told
    assert sorted(place.name for place in tuned.folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    written = json.loads((tmp_path / "out" / "result.json").read_text())
    assert written["after"]["train"]["margin"] == tuned.after["train"].margin
    scored = score_pairs(PAIRS, tiny, adapter=tuned.folder, settings=QUICK)
    assert set(scored) == {"all", "answer over query"}
    whole = tuned.after["train"].margin * 16 + tuned.after["held_out"].margin * 4
    assert scored["all"].margin == pytest.approx(whole / 20, rel=1e-3)
    wider = save_tiny_model(tmp_path / "wider", width=64)
    with pytest.raises(InvalidInput, match="does not fit the model"):
        score_pairs(PAIRS[:1], wider, adapter=tuned.folder, settings=QUICK)
    untuned = score_pairs(PAIRS, tiny, settings=QUICK)
    assert (untuned["all"].margin, untuned["all"].accuracy) == (0.0, 0.0)


def test_a_stopped_run_goes_on_from_its_checkpoint_and_ends_the_same(tiny: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, checkpoint_steps=3, measured=4)
    whole = tune_dpo(PAIRS, tiny, tmp_path / "whole", settings=settings)

    def interrupt(doing: str, done: int, total: int) -> None:
        if (doing, done) == ("dpo", 5):
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="resume"):
        tune_dpo(PAIRS, tiny, tmp_path / "cut", settings=settings, progress=interrupt)
    checkpoint = last_checkpoint(tmp_path / "cut" / "dpo")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-3"
    broken = checkpoint.with_name("checkpoint-4")
    broken.mkdir()
    (broken / "trainer_state.json").write_text("{")
    seen: list[int] = []
    tuned = tune_dpo(
        PAIRS,
        tiny,
        tmp_path / "cut",
        settings=settings,
        progress=lambda doing, done, _: seen.append(done) if doing == "dpo" else None,
    )
    assert seen == [4, 5, 6, 7, 8]
    assert tuned.after["train"].margin == pytest.approx(whole.after["train"].margin, rel=1e-3)


def test_two_runs_do_not_write_to_one_folder_and_a_full_disk_is_named(tiny: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, checkpoint_steps=3, measured=1)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def second(doing: str, done: int, total: int) -> None:
        if (doing, done) == ("dpo", 2):
            with pytest.raises(InvalidInput, match="another run is writing"):
                tune_dpo(PAIRS, tiny, tmp_path / "out", settings=settings)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(InvalidInput, match="cannot be written: File too large"):
            tune_dpo(PAIRS, tiny, tmp_path / "out", settings=settings, progress=second)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert tune_dpo(PAIRS, tiny, tmp_path / "out", settings=settings).folder.is_dir()


def test_supervised_tuning_comes_before_and_is_what_dpo_is_measured_against(tiny: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, sft=SftSettings(epochs=1, learning_rate=0.02))
    plain = score_pairs(PAIRS, tiny, settings=QUICK)["all"].likelier
    told: list[str] = []
    tuned = tune_dpo(PAIRS, tiny, tmp_path, settings=settings, progress=lambda doing, *_: told.append(doing))
    assert list(dict.fromkeys(told)) == ["sft", "measuring before", "dpo", "measuring after"]
    assert tuned.before["train"].likelier >= plain
    assert tuned.before["train"].margin == 0.0
    assert tuned.after["train"].margin > 0.5
    assert sorted(place.name for place in tuned.folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert tuned.log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    both = score_pairs(PAIRS, tiny, adapter=tuned.folder, settings=QUICK)["all"]
    assert both.likelier >= plain
    assert both.margin != pytest.approx(tuned.after["train"].margin, rel=1e-3)


def test_supervised_tuning_sees_each_chosen_output_once_for_each_prompt(tiny: Path, tmp_path: Path) -> None:
    import torch

    first = pair(0)
    pairs = [first, pair(0, rejected="I wonder."), pair(1, chosen=first.chosen)]
    settings = replace(QUICK, sft=SftSettings(), accumulation=1, held_out=0.0, measured=1)
    told: list[tuple[str, int, int]] = []
    tune_dpo(pairs, tiny, tmp_path, settings=settings, progress=lambda *at: told.append(at))
    assert [at for at in told if at[0] == "sft"] == [("sft", 1, 2), ("sft", 2, 2)]
    used = torch.load(tmp_path / "sft" / "checkpoint-2" / "training_args.bin", weights_only=False)
    assert used.completion_only_loss is True


def test_the_last_whole_checkpoint_is_that_of_the_most_steps(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "none") is None
    for steps in (3, 12, 9):
        place = tmp_path / f"checkpoint-{steps}"
        place.mkdir()
        (place / "trainer_state.json").write_text("{}")
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-12"


def test_all_weights_can_be_tuned(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuned = tune_dpo(PAIRS, tiny, tmp_path, settings=replace(QUICK, lora=None, learning_rate=0.003))
    assert "reference log probs" not in capsys.readouterr().err
    assert tuned.folder.name == "model"
    assert tuned.after["train"].margin > 0.5
    assert score_pairs(PAIRS, tuned.folder, settings=QUICK)["all"].likelier > 0.9


def test_the_adapters_dropout_is_used(tiny: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, measured=4, held_out=0.0)
    plain, dropped = (
        tune_dpo(
            PAIRS[:6],
            tiny,
            tmp_path / str(dropout),
            settings=replace(settings, lora=LoraSettings(rank=4, dropout=dropout)),
        )
        for dropout in (0.0, 0.5)
    )
    assert plain.after["train"].margin != pytest.approx(dropped.after["train"].margin, rel=1e-3)


def test_the_published_settings_reach_the_trainer(tiny: Path, tmp_path: Path) -> None:
    import torch

    settings = replace(QUICK, learning_rate=1e-6, warmup=0.2, held_out=0.1, seed=7)
    tuned = tune_dpo(PAIRS, tiny, tmp_path, settings=settings)
    assert [entry["learning_rate"] for entry in tuned.log[:4]] == pytest.approx(
        [0.0, 5e-7, 1e-6, 1e-6 * (1 + math.cos(math.pi / 7)) / 2]
    )
    (checkpoint,) = (tmp_path / "dpo").glob("checkpoint-*")
    used = torch.load(checkpoint / "training_args.bin", weights_only=False)
    assert (used.beta, used.loss_type, used.max_length, used.seed) == (0.3, ["sigmoid"], 10_000, 7)
    assert (used.num_train_epochs, used.gradient_accumulation_steps, used.per_device_train_batch_size) == (1, 2, 1)
    assert used.lr_scheduler_type == "cosine"


def test_pairs_that_are_too_long_are_left_out_and_counted(tiny: Path, tmp_path: Path) -> None:
    long = pair(99, input="word " * 400)
    tuned = tune_dpo([*PAIRS[:4], long], tiny, tmp_path, settings=replace(QUICK, max_length=300, held_out=0.0))
    assert (tuned.trained, tuned.held_out, tuned.too_long) == (4, 0, 1)
    assert set(tuned.after) == {"train"}
    with pytest.raises(InvalidInput, match="none of the 1 pairs"):
        tune_dpo([long], tiny, tmp_path / "no", settings=replace(QUICK, max_length=300))


def test_what_cannot_be_tuned_is_refused_by_name(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="there is no model"):
        tune_dpo(PAIRS, tmp_path / "missing", tmp_path / "out", settings=QUICK)
    bare = save_tiny_model(tmp_path / "bare", template=None)
    with pytest.raises(InvalidInput, match="chat template"):
        tune_dpo(PAIRS, bare, tmp_path / "out", settings=QUICK)
    with pytest.raises(InvalidInput, match="holds no adapter"):
        score_pairs(PAIRS, tiny, adapter=tmp_path, settings=QUICK)
    (tmp_path / "used").mkdir()
    for content in ("{}", "my notes"):
        (tmp_path / "used" / "run.json").write_text(content)
        with pytest.raises(InvalidInput, match="was begun with another"):
            tune_dpo(PAIRS, tiny, tmp_path / "used", settings=QUICK)
    system = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    strict = save_tiny_model(tmp_path / "strict", template=system + TEMPLATE)
    with pytest.raises(InvalidInput, match="chat template refuses a pair: no system"):
        tune_dpo(PAIRS, strict, tmp_path / "out", settings=QUICK)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="is a file"):
        tune_dpo(PAIRS, tiny, tmp_path / "file", settings=QUICK)
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == "trl" else object())
    with pytest.raises(MissingExtra, match=r"trl.*memagent\[tune\]"):
        tune_dpo(PAIRS, tiny, tmp_path / "out", settings=QUICK)
