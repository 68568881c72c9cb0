"""The guard at its place: what the leader's model saw, and what the user reads."""

from __future__ import annotations

from guard_examples import task

from memagent.agents.lsrp.cloud import Cloud
from memagent.agents.lsrp.device import Device
from memagent.evals.lsrp.crossing import crossed, private_facts
from memagent.testing import ScriptedModel


def test_the_answer_keeps_the_facts_that_the_leader_never_saw() -> None:
    leader = ScriptedModel(["Greet [Name_1], praise (PLACE_1), and end with [name 1]'s wish."])
    subordinate = ScriptedModel(["Dear [NAME_1], Anna Kovalenko of <PLACE-1> sends her wishes."])
    private = task("Write a card from Anna Kovalenko of New Haven.")
    device = Device(subordinate, Cloud(leader))
    answer = device.ask(private)
    assert answer.text == "Dear Anna Kovalenko, Anna Kovalenko of New Haven sends her wishes."
    facts = private_facts(private)
    up = [record.body.decode() for record in device.wire.records if record.direction == "up"]
    assert up
    assert not crossed(facts, "\n".join(up))
    seen = leader.wire.requests[0].prompt
    assert not crossed([fact for fact in facts if fact.kind == "value"], seen.user.partition("[NAME_1]")[2])
    assert "[NAME_1] of [PLACE_1]" in seen.user
