"""LSRP with a real vLLM and one small model in both roles: it writes poorly, but all else must hold."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from memagent.agents.lsrp import Cloud, Device, GuidelineRequest, PrivateTask, WireLog, example_users
from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.feedback import FeedbackSettings, collect_trials, feedback_of
from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.strategies import GENERAL, strategy
from memagent.agents.lsrp.writing import WriteSettings
from memagent.evals.lsrp.leakage import leakage
from memagent.llm import Model, VLLMServer
from memagent.prompts.lsrp import leader
from memagent.prompts.prompt import Prompt
from memagent.tuning.pairs import read_pairs
from memagent.tuning.run import tune_dpo
from memagent.tuning.settings import DpoSettings, LoraSettings
from memagent.tuning.sharegpt import write_sharegpt

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TASKS: tuple[PrivateTask, ...] = tuple(task for user in example_users() for task in user.tasks)[:10]
TOKENS = 32  # the model writes ten tokens a second, and would go on to the end of any limit
SETTINGS = FeedbackSettings(evolution=Evolution(population=12, generations=6))
ONE_STEP = DpoSettings(
    learning_rate=2e-2,
    warmup=0.0,
    schedule="constant",
    accumulation=1,
    lora=LoraSettings(rank=8, alpha=16, targets=("q_proj", "v_proj")),
    held_out=0.0,
    device="cpu",
    save_memory=False,
)


def short(request: GuidelineRequest) -> Prompt[str]:
    return leader(request.task, strategy(request.strategy), request.task_type, max_tokens=TOKENS)


@contextmanager
def served(cloud: Cloud) -> Iterator[str]:
    """The address of a server over this cloud."""
    import uvicorn

    from memagent.server.lsrp_cloud import lsrp_cloud_app

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(lsrp_cloud_app(cloud), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one core: where others use the cores too, its threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def test_ten_tasks_are_answered_over_http_and_nothing_private_crosses(
    vllm_server: VLLMServer, vllm_model: Model
) -> None:
    wires = [WireLog() for _ in TASKS]
    own = vllm_server.model(timeout=600.0)
    with served(Cloud(vllm_model, write=short)) as url, ThreadPoolExecutor(len(TASKS)) as pool:
        devices = [Device(own, leader=url, wire=wire, settings=WriteSettings(max_tokens=TOKENS)) for wire in wires]
        answers = list(pool.map(lambda device, task: device.ask(task), devices, TASKS))
    assert all(answer.led and answer.text and answer.guideline for answer in answers)
    up = [[record.body.decode() for record in wire.records if record.direction == "up"] for wire in wires]
    assert all(len(bodies) == 1 for bodies in up)
    assert leakage(zip(TASKS, up, strict=True)).facts.crossed == 0


def test_feedback_gives_pairs_and_a_tuned_leader_that_says_something_else(
    vllm_server: VLLMServer, vllm_model: Model, vllm_places: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    pytest.importorskip("pymoo")
    cast = Cast(
        leader=vllm_model, subordinate=vllm_model, judge=vllm_model, guideline_tokens=TOKENS, text_tokens=TOKENS
    )
    calls = tmp_path / "calls.jsonl"
    trials = collect_trials(TASKS, cast, settings=SETTINGS, guard=ProfileGuard(), calls=calls)
    asked = vllm_model.meter.totals().calls
    assert collect_trials(TASKS, cast, settings=SETTINGS, guard=ProfileGuard(), calls=calls) == trials
    assert vllm_model.meter.totals().calls == asked
    assert not any(trial.failed for trial in trials)
    assert all(one.scores.fluency is not None and one.scores.fluency < 0 for trial in trials for one in trial.tries)
    assert any(one.scores.relevance is not None for trial in trials for one in trial.tries)

    found = feedback_of(trials, settings=SETTINGS)
    assert len(found.pairs) + sum(found.dropped.values()) == len(TASKS)
    assert found.pairs
    file = tmp_path / "pairs.json"
    write_sharegpt(file, found.pairs)
    assert {*json.loads(file.read_text())[0]} >= {"conversations", "chosen", "rejected"}

    shortest = min(read_pairs(file), key=lambda pair: len(pair.prompt) + len(pair.chosen) + len(pair.rejected))
    with one_thread():
        tuned = tune_dpo([shortest], vllm_places["model"], tmp_path / "tuned", settings=ONE_STEP)
    assert tuned.trained == 1
    prompt = leader(TASKS[0].text, strategy(GENERAL), TASKS[0].task_type, max_tokens=TOKENS)
    before = vllm_model.ask(prompt).value
    vllm_server.load_lora("led", tuned.folder)
    try:
        after = vllm_server.model("led", capabilities=vllm_model.capabilities, timeout=600.0).ask(prompt).value
    finally:
        vllm_server.unload_lora("led")
    assert after != before
    assert vllm_model.ask(prompt).value == before
