"""``memagent eval lsrp``: every way of writing once, choosers looked up in it, with a scripted model in all roles."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from eval_commands import Counting, use
from lsrp_data_examples import cogen_record, file_of, movie_record
from typer.testing import CliRunner

from memagent.agents.lsrp.cast import Cast
from memagent.agents.lsrp.choosing import NeighbourChooser
from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.index import NeighbourIndex
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.strategies import STYLES
from memagent.errors import (
    DataError,
    EncoderMismatch,
    InvalidInput,
    MemagentError,
    ModelRefused,
    Stopped,
    UnknownName,
)
from memagent.evals.cli import app
from memagent.evals.lsrp import making, running
from memagent.evals.lsrp.arms import ARMS, STRATEGIES, Made, run_arms
from memagent.evals.lsrp.choosing import LearnSettings, worth_of
from memagent.evals.lsrp.data import load_lsrp
from memagent.evals.lsrp.result import LsrpRun, build_result
from memagent.evals.lsrp.scripted import ScriptedCast, best_style
from memagent.evals.lsrp.splits import published_split
from memagent.evals.lsrp.systems import System
from memagent.evals.lsrp.table import notes
from memagent.llm.retry import CallFailed, Failure
from memagent.prompts.prompt import Prompt
from memagent.testing import HashingEncoder, ScriptedModel

POPULATION = ("--dataset", "population", "--leader", "scripted", "--limit", "16", "--train-limit", "48")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counting:
    """A hashing encoder, a short evolution, and a cache of its own."""
    short = Evolution(population=12, generations=8)
    monkeypatch.setattr(running, "LearnSettings", partial(LearnSettings, evolution=short))
    monkeypatch.setenv("MEMAGENT_CACHE", str(tmp_path / "cache"))
    return use(monkeypatch, Counting())


def call(*arguments: object) -> str:
    found = CliRunner().invoke(app, ["lsrp", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def by_system(out: Path) -> dict[str, Any]:
    return {row["system"]: row for row in json.loads(out.read_text())["rows"]}


def test_u_u_rag_lies_between_the_general_strategy_and_the_oracle(tmp_path: Path) -> None:
    out, rows = tmp_path / "result.json", tmp_path / "rows.jsonl"
    shown = call(*POPULATION, "--k", "1,5", "--out", out, "--per-question", rows, "--markdown")
    assert "| u-u-rag K=5 |" in shown
    assert rows.stat().st_mode & 0o077 == 0, "answers hold private data"
    found = by_system(out)
    worth = {label: row["metrics"]["relevance"]["mean"] for label, row in found.items()}
    assert worth["general"] < worth["u-u-rag K=5"] <= worth["oracle"]
    assert worth["model-chosen"] < worth["oracle"]
    assert worth["leader-alone"] < worth["alone"]
    regret = {label: row["metrics"]["regret"]["mean"] for label, row in found.items() if "regret" in row["metrics"]}
    assert regret["oracle"] == 0
    assert 0 <= regret["u-u-rag K=5"] < regret["general"]
    assert set(regret) == {*STRATEGIES, "u-u-rag K=1", "u-u-rag K=5", "model-chosen", "oracle"}
    assert found["oracle"]["agrees"] == 1
    general, oracle = found["general"]["metrics"], found["oracle"]
    assert general["ppl"]["mean"] == pytest.approx(math.exp(-general["fluency"]["mean"]), abs=1e-4)
    assert general["ppl"]["low"] <= general["ppl"]["mean"] <= general["ppl"]["high"]
    assert oracle["paired"]["against"] == "general"
    assert oracle["paired"]["relevance"]["diff"] == pytest.approx(worth["oracle"] - worth["general"], abs=1e-5)
    assert "ppl" not in found["leader-alone"]["metrics"]
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(written) == 16 * (len(ARMS) + 4)
    assert {row["reason"] for row in written if row["system"] == "oracle"} == {"it is worth most"}
    assert any(row["votes"] for row in written if row["system"] == "u-u-rag K=5")
    assert not out.with_name("result.json.partial").exists()


def test_a_saved_index_votes_again_and_nobody_labels_anything(tmp_path: Path) -> None:
    one, two, file = tmp_path / "one.json", tmp_path / "two.json", tmp_path / "styles.index"
    few = ("--limit", "6", "--train-limit", "20", "--system", "u-u-rag", "--system", "general")
    arguments = (*POPULATION, *few, "--no-cache")
    call(*arguments, "--save-index", file, "--out", one)
    shown = call(*arguments, "--index", file, "--out", two, "--markdown")
    learned, given = (json.loads(place.read_text()) for place in (one, two))
    assert given["rows"] == learned["rows"]
    assert given["weights"] == learned["weights"]
    assert (given["learnt"]["tasks"], given["learnt"]["index"], given["learnt"]["tested_too"]) == (20, file.name, 0)
    assert given["this_run"]["calls"] < learned["this_run"]["calls"] - 20 * len(STYLES)
    assert "u-u-rag votes from styles.index" in shown
    assert b"name: " not in file.read_bytes()  # it holds no texts
    task = load_lsrp("population", ()).cases[0].task
    assert (
        NeighbourChooser(index=NeighbourIndex.load(file, encoder=HashingEncoder(dim=64))).choose(task).strategy
        in STYLES
    )
    same = call(*arguments, "--index", file, "--published-split", "--limit", "10", "--out", two, "--markdown")
    assert "of the tested tasks are in it, word for word" in same


def test_an_index_that_does_not_fit_is_refused_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "run_arms", None)  # what would ask
    task = load_lsrp("bundled", ()).cases[0].task
    file = tmp_path / "styles.index"

    def refused(*arguments: object, said: str, kind: type[MemagentError] = InvalidInput) -> None:
        with pytest.raises(kind, match=said):
            call("--leader", "scripted", "--index", file, "--out", tmp_path / "result.json", *arguments)

    refused(said="cannot be read")
    NeighbourIndex.of([task], ["supportive"], encoder=HashingEncoder(dim=64)).save(file)
    refused("--no-index-profile", said="profile and task")
    refused("--system", "general", said="not among the systems")
    refused("--save-index", tmp_path / "other", said="nothing to save")
    refused("--save-index", tmp_path / "result.json", said="two outputs")
    NeighbourIndex.of([task], ["checklist"], encoder=HashingEncoder(dim=64)).save(file)
    refused(said="strategy 'checklist'", kind=UnknownName)
    NeighbourIndex.of([], [], encoder=HashingEncoder(dim=64)).save(file)
    refused(said="holds no task")
    NeighbourIndex.of([task], ["supportive"], encoder=HashingEncoder(dim=32)).save(file)
    refused(said="made with the encoder", kind=EncoderMismatch)
    file.write_bytes(file.read_bytes()[:-1])
    refused(said="damaged", kind=DataError)


def test_a_second_run_asks_nobody_and_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    arguments = ("--leader", "scripted", "--system", "general", "--system", "oracle", "--system", "model-chosen")
    call(*arguments, "--out", one)
    monkeypatch.setenv("COLUMNS", "80")
    narrow = call(*arguments, "--out", two)
    assert "model-chosen" in narrow
    first, second = (json.loads(place.read_text()) for place in (one, two))
    assert first["this_run"]["calls"] > 0
    assert second["this_run"]["calls"] == 0
    assert first["rows"] == second["rows"]
    assert first["weights"] == {"udrr": 1, "fluency": 1, "relevance": 1}


def test_a_spent_budget_stops_and_the_same_command_resumes_it(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = [*POPULATION, "--no-cache", "--out", out]
    with pytest.raises(Stopped, match="budget"):
        call(*arguments, "--budget-calls", 150)
    kept = len(out.with_name("result.json.partial").read_text().splitlines()) - 1
    assert 100 <= kept <= 150
    call(*arguments)
    resumed = json.loads(out.read_text())
    whole = tmp_path / "whole.json"
    call(*POPULATION, "--no-cache", "--out", whole)
    expected = json.loads(whole.read_text())
    assert resumed["rows"] == expected["rows"]
    assert resumed["this_run"]["calls"] == expected["this_run"]["calls"] - kept


def test_without_a_judge_there_is_no_rating_and_udrr_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"leader": "scripted", "device": "scripted", "judge": None}
    monkeypatch.setattr(making, "role_names", lambda _: names)
    out = tmp_path / "result.json"
    shown = call(*POPULATION, "--limit", "6", "--train-limit", "20", "--out", out, "--markdown")
    assert "UDRR vs general" in shown
    assert "relevance" not in by_system(out)["general"]["metrics"]
    assert by_system(out)["oracle"]["metrics"]["regret"]["mean"] == 0


def test_what_leaves_depends_on_the_guard(tmp_path: Path) -> None:
    shares = {}
    for guard in ("off", "redact", "refuse"):
        out = tmp_path / f"{guard}.json"
        call("--leader", "scripted", "--guard", guard, "--system", "general", "--test-share", "0.9", "--out", out)
        shares[guard] = by_system(out)["general"]["metrics"]["leakage"]["mean"]
    assert shares["off"] > 0
    assert shares["redact"] == shares["refuse"] == 0


def test_both_data_sets_are_read_and_people_who_are_tested_are_not_learnt_from(tmp_path: Path) -> None:
    train = file_of(tmp_path / "train.json", [movie_record(n, user=n % 8, film=n % 3) for n in range(12)])
    test = file_of(tmp_path / "test.json", [movie_record(n, user=6 + n % 3, film=0) for n in range(3)])
    out = tmp_path / "result.json"
    arguments = ["--dataset", "movieexp", "--data", test, "--train", train, "--leader", "scripted", "--out", out]
    call(*arguments)
    dataset = json.loads(out.read_text())["dataset"]
    assert dataset["on_both_sides"] == {"people": 0, "profiles": 0, "pairs": 0}
    assert (dataset["cases"], dataset["training"]) == (3, 10)
    assert dataset["left_out"] == {"of a person who is tested": 2}
    assert "flatter" in call(*arguments, "--published-split")
    cogen = file_of(tmp_path / "cogen.json", [cogen_record(n) for n in range(10)])
    call("--dataset", "cogen", "--data", cogen, "--leader", "scripted", "--out", out)
    assert json.loads(out.read_text())["dataset"]["training"] == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--leader", "http://127.0.0.1:9/v1"], "no model for the device"),
        (["--leader", "scripted", "--system", "other"], "unknown system"),
        (["--leader", "scripted", "--baseline", "oracle"], "no way of writing"),
        (["--leader", "scripted", "--k", "0"], "above 0"),
        (["--leader", "scripted", "--k", "five"], "for example 5"),
        (["--leader", "scripted", "--dataset", "cogen"], "needs its files"),
        (["--leader", "scripted", "--test-share", "2"], "share"),
        (["--leader", "scripted", "--published-split", "--system", "u-u-rag"], "nothing for u-u-rag to learn from"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(MemagentError, match=said):
        call(*arguments, "--out", tmp_path / "result.json")


class Picky(ScriptedCast):
    """A cast that refuses some prompts."""

    def __init__(self, refuses: Callable[[Prompt[str]], bool]) -> None:
        self._refuses = refuses

    def answer_to(self, prompt: Prompt[str]) -> tuple[str, float]:
        if self._refuses(prompt):
            raise CallFailed(Failure(error=ModelRefused("too long"), kind="refused"))
        return super().answer_to(prompt)


def picky(refuses: Callable[[Prompt[str]], bool]) -> Cast:
    from memagent.llm import Model

    model = Model(Picky(refuses))
    return Cast(leader=model, subordinate=model, judge=model)


CASES = load_lsrp("bundled", ()).cases[:4]


def test_a_refused_case_is_a_failure_that_counts_for_nothing_else() -> None:
    unlucky = CASES[1]
    cast = picky(lambda prompt: "supportive" in prompt.name and unlucky.task.text[:20] in prompt.user)
    made = run_arms(CASES, ARMS, cast)
    failed = [key for key, one in made.items() if one.failed]
    assert failed == [(unlucky.id, "supportive")]
    assert made[failed[0]].failed == "ModelRefused: too long"
    worth = worth_of(made, CASES, (1, 1, 1))
    assert unlucky.id not in worth.cases
    assert worth.regret(unlucky.id, "general") is None
    assert set(worth.oracle()) == {case.id for case in CASES} - {unlucky.id}
    with pytest.raises(InvalidInput, match="too long"):
        run_arms(CASES, ["general"], picky(lambda prompt: True))


def test_what_left_the_device_for_an_answer_that_never_came_has_leaked_all_the_same() -> None:
    cast = picky(lambda prompt: "supportive" in prompt.name and CASES[1].task.text[:20] in prompt.user)
    made = run_arms(CASES, ("supportive", "directive"), cast)
    lost, whole = (made[CASES[1].id, arm] for arm in ("supportive", "directive"))
    assert lost.failed
    assert '"supportive"' in lost.sent[0]
    assert (lost.crossed, lost.private) == (whole.crossed, whole.private)
    run = LsrpRun(
        data=load_lsrp("bundled", ()),
        split=published_split((), CASES),
        made=made,
        systems=(System(label="supportive", arm="supportive"),),
        worth=None,
        weights=(1.0, 1.0, 1.0),
    )
    metrics = build_result(run, models={}, guard="off", baseline="supportive", resamples=50)["rows"][0]["metrics"]
    assert (metrics["leakage"]["n"], metrics["udrr"]["n"]) == (4, 3)


def test_the_oracle_picks_what_the_small_model_is_best_at() -> None:
    made = run_arms(CASES, STRATEGIES, picky(lambda prompt: False))
    best = worth_of(made, CASES, (1, 1, 1)).oracle()
    shown = {case.id: best_style("\n".join(f"{k}: {v}" for k, v in case.task.profile.items())) for case in CASES}
    assert {case: choice.strategy for case, choice in best.items()} == shown
    assert set(shown.values()) <= set(STYLES)


def test_a_task_that_may_not_leave_is_written_alone_and_nothing_is_sent() -> None:
    cast = picky(lambda prompt: False)
    made = run_arms(CASES, ARMS, cast, guard=ProfileGuard(policy="refuse"))
    refused = [one for one in made.values() if one.verdict == "refused" or one.failed]
    assert refused
    assert all(one.sent == () for one in refused)
    assert all(one.answer for one in refused if one.arm != "leader-alone")
    assert all(one.sent == () for one in made.values() if one.arm == "alone")


def test_nothing_private_is_shown_to_the_leader() -> None:
    told: list[Prompt[Any]] = []

    def note(prompt: Prompt[Any]) -> str:
        told.append(prompt)
        return f"Plan {len(told)}."

    small = ScriptedModel(lambda prompt: "A text.")
    case = next(case for case in CASES if case.task.history)
    run_arms([case], ARMS, Cast(leader=ScriptedModel(note), subordinate=small), guard=ProfileGuard())
    sent = "\n".join(prompt.system + prompt.user for prompt in told)
    assert len(told) == 7
    assert not any(value in sent for value in case.task.profile.values() if len(value) > 3)
    assert not any(written.text in sent for written in case.task.history)
    assert len(small.prompts) == 7


def test_few_users_are_said_to_be_few() -> None:
    result: dict[str, Any] = {
        "dataset": {"users": 2, "reference_udrr": None, "left_out": {}, "on_both_sides": {}},
        "settings": {"level": 0.95},
        "rows": [],
        "models": {},
    }
    assert sum("over 2 users only" in note for note in notes(result)) == 1
    result["dataset"]["users"] = 10
    assert not any("users only" in note for note in notes(result))


def test_intervals_are_over_users_who_are_drawn_with_all_their_tasks() -> None:
    users = {case.user for case in load_lsrp("bundled", ()).cases[:8]}
    cases = [case for case in load_lsrp("bundled", ()).cases if case.user in users]
    good, *_ = sorted(users)
    made = {
        (case.id, "alone"): Made(case=case.id, arm="alone", answer="x", relevance=10.0 if case.user == good else 0.0)
        for case in cases
    }
    run = LsrpRun(
        data=load_lsrp("bundled", ()),
        split=published_split((), cases),
        made=made,
        systems=(System(label="alone", arm="alone"),),
        worth=None,
        weights=(1.0, 1.0, 1.0),
    )
    result = build_result(run, models={"leader": "x"}, guard="off", baseline="alone", resamples=500)
    found = result["rows"][0]["metrics"]["relevance"]
    share = sum(case.user == good for case in cases) / len(cases)
    assert (found["mean"], found["low"], found["high"]) == (pytest.approx(10 * share), 0.0, 10.0)
