"""What is done with what the guard finds; memories and further detectors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from guard_examples import task

from memagent.agents.lsrp.guard import MeaningDetector, PresidioDetector, ProfileGuard
from memagent.agents.lsrp.ports import Finding, PrivateTask, Verdict
from memagent.errors import InvalidInput, MissingExtra, UnknownName
from memagent.memory import Memory
from memagent.testing import HashingEncoder

TEXT = "Anna is 31 and lives in Bergen"


def test_the_default_redacts_all_kinds() -> None:
    checked = ProfileGuard().check(task(TEXT))
    assert checked.verdict is Verdict.REDACTED
    assert checked.text == "[NAME_1] is [NUMBER_1] and lives in [WORD_1]"


def test_refusing_lets_nothing_leave() -> None:
    checked = ProfileGuard(policy="refuse").check(task(TEXT))
    assert (checked.verdict, checked.text, dict(checked.placeholders)) == (Verdict.REFUSED, "", {})
    assert {finding.kind for finding in checked.findings} == {"name", "number", "word"}
    assert ProfileGuard(policy="refuse").check(task("a task")).verdict is Verdict.PASSED


def test_passing_writes_down_what_it_found_and_changes_nothing() -> None:
    checked = ProfileGuard(policy="pass").check(task(TEXT))
    assert (checked.verdict, checked.text) == (Verdict.PASSED, TEXT)
    assert [TEXT[finding.start : finding.end] for finding in checked.findings] == ["Anna", "31", "Bergen"]


def test_a_kind_may_have_a_policy_of_its_own() -> None:
    guard = ProfileGuard(policies={"number": "pass", "card": "refuse"})
    assert guard.check(task(TEXT)).text == "[NAME_1] is 31 and lives in [WORD_1]"
    assert guard.check(task(f"{TEXT}, card 4111 1111 1111 1111")).verdict is Verdict.REFUSED


def test_an_unknown_policy_and_a_memory_without_a_user_are_refused() -> None:
    with pytest.raises(UnknownName, match="redact, refuse, pass"):
        ProfileGuard(policies={"name": "hide"})  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match="memory and user_id together"):
        ProfileGuard(user_id="anna")


def test_what_the_users_memory_holds_is_private_as_soon_as_it_is_stored() -> None:
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        guard = ProfileGuard(memory=memory, user_id="anna")
        bare = task("Write about Qaqortoq and 4711", {}, history=())
        assert guard.check(bare).verdict is Verdict.PASSED
        memory.add("We sailed to Qaqortoq on boat 4711.", user_id="anna")
        assert guard.check(bare).text == "Write about [WORD_1] and [NUMBER_1]"
        memory.add("Of another user: Ulaanbaatar.", user_id="ben")
        assert guard.check(task("Ulaanbaatar", {}, history=())).verdict is Verdict.PASSED


def test_a_guard_without_a_memory_is_given_one_and_keeps_its_policies() -> None:
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        memory.add("We sailed to Qaqortoq.", user_id="anna")
        plain = ProfileGuard(policy="refuse")
        knowing = plain.knowing(memory, "anna")
        assert knowing.check(task("Qaqortoq", {}, history=())).verdict is Verdict.REFUSED
        assert plain.check(task("Qaqortoq", {}, history=())).verdict is Verdict.PASSED
        assert knowing.knowing(memory, "ben") is knowing


def test_own_public_words_take_the_place_of_the_bundled_ones() -> None:
    assert ProfileGuard(public=["Bergen"]).check(task("In Bergen")).verdict is Verdict.PASSED
    assert ProfileGuard(public=[]).check(task("My sister")).verdict is Verdict.REDACTED


def test_a_further_detector_takes_part() -> None:
    def colours(text: str, private: PrivateTask) -> Sequence[Finding]:
        assert private.profile["name"] == "Anna Kovalenko"
        at = text.find("turquoise")
        return [Finding(start=at, end=at + 9, kind="colour", found_by="colours")] if at >= 0 else []

    guard = ProfileGuard(detectors=[colours])
    assert guard.check(task("a turquoise door")).text == "a [COLOUR_1] door"
    assert guard.check(task("a red door")).verdict is Verdict.PASSED


@pytest.mark.parametrize("place", [(-1, 2), (3, 3), (0, 99)])
def test_a_detector_that_points_outside_the_text_is_refused(place: tuple[int, int]) -> None:
    finding = Finding(start=place[0], end=place[1], kind="x", found_by="broken")
    with pytest.raises(InvalidInput, match="broken"):
        ProfileGuard(detectors=[lambda text, private: [finding]]).check(task("a door"))


def test_presidio_that_is_not_installed_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingExtra, match="presidio-analyzer"):
        ProfileGuard(detectors=[PresidioDetector()]).check(task("a door"))


def test_clauses_near_in_meaning_to_a_value_are_found_if_one_wants_that() -> None:
    guard = ProfileGuard(detectors=[MeaningDetector(HashingEncoder(), threshold=0.6)])
    private = task("Keep it short, the city is called New York, and end well.", {"city": "Old York is called the city"})
    checked = guard.check(private)
    assert checked.text == "Keep it short, [MEANING_1], and end well."
    assert guard.restored(checked.text, checked) == private.text
    assert guard.check(task("Keep it short", {"city": "", "age": "31"}, history=())).verdict is Verdict.PASSED
    with pytest.raises(InvalidInput, match="cosine"):
        MeaningDetector(HashingEncoder(), threshold=0)
