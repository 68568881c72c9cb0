"""A cloud and a device in two processes: what crosses between them, beside the answer.

    python examples/cloud_device.py
    python examples/cloud_device.py --leader http://localhost:8000/v1 --device-model http://localhost:8001/v1

The cloud is `memagent serve lsrp-cloud` in a process of its own, on this machine; the device is this process, with the
memory of a made-up user. Without arguments both models are stand-ins that only play their parts: the leader repeats
what it could know, the device's model fills in what the leader could not.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from memagent import Memory
from memagent.agents.lsrp import (
    Answer,
    Cloud,
    Crossed,
    Device,
    PrivateTask,
    RemoteLeader,
    example_users,
    remember_private,
)
from memagent.llm import Model
from memagent.prompts.prompt import Prompt
from memagent.server.lsrp_cloud import serve_lsrp_cloud
from memagent.testing import ScriptedModel


def stand_in_leader(prompt: Prompt[Any]) -> str:
    """Plays the leader: it sees the task as it left the device, and nothing else."""
    private = ", ".join(dict.fromkeys(re.findall(r"\[[A-Z]+_\d+\]", prompt.user))) or "nobody by name"
    return f"Open with the occasion and mention {private}. Add one fact that the reader will know. Close with the name."


def stand_in_subordinate(prompt: Prompt[Any]) -> str:
    """Plays the device's model: it sees the profile, what was found in the memory, the guideline and the task."""
    profile = dict(re.findall(r"^(name|city of living|occupation): (.*)$", prompt.user, re.MULTILINE))
    mentioned = re.search(r"mention (.*?)\. Add", prompt.user)
    told = mentioned[1] if mentioned else "nobody"
    return f"(About {told}, from {profile['city of living']}.) Yours, {profile['name']}"


def serve() -> None:
    """The cloud's process, with the stand-in for a leader; prints its address."""
    cloud = Cloud(ScriptedModel(stand_in_leader))
    serve_lsrp_cloud(cloud, port=0, told=lambda url: print(f"{url}/guideline", flush=True))


@contextmanager
def cloud_process(leader: str | None) -> Iterator[str]:
    """The address of a cloud in another process, over a model's URL or the stand-in."""
    command = [sys.executable, __file__, "--serve"]
    if leader:
        command = [sys.executable, "-m", "memagent", "serve", "lsrp-cloud", "--model", leader, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise SystemExit("the cloud's process did not start")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()  # a model that is in the midst of a guideline
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def device_with(memory: Memory, cloud: str, model: str | None, user: str) -> Device:
    """The device of a user whose data are in the memory; a slow machine's leader has three minutes."""
    own = Model(model) if model else ScriptedModel(stand_in_subordinate)
    return Device.for_user(own, RemoteLeader(cloud, timeout=180), memory, user_id=user)


def shown(task: PrivateTask, answer: Answer, crossed: Sequence[Crossed]) -> str:
    """A task, what crossed for it byte for byte, and the answer."""
    arrows = {"up": "device -> cloud", "down": "cloud -> device"}
    lines = [f"task     {task.text}"]
    for one in crossed:
        lines.append(f"{arrows[one.direction]}, {one.size} bytes, {one.at:%H:%M:%S.%f}")
        text = one.head.replace("\r\n", "\n") + one.body.decode("utf-8", "replace")
        lines += [f"    | {line}" for line in text.splitlines()]
    lines += [f"answer   {answer.text}", f"guard    {answer.trace.verdict}; {answer.trace.alone or 'led by the cloud'}"]
    return "\n".join(lines)


def run(leader: str | None = None, model: str | None = None, tasks: int = 2) -> Iterator[str]:
    """Tasks of one example user, each shown when it has been through device and cloud."""
    user = next(one for one in example_users() if one.id == "mirela")
    with Memory(":memory:") as memory, cloud_process(leader) as cloud:
        remember_private(memory, user_id=user.id, profile=user.profile, history=user.history)
        device = device_with(memory, cloud, model, user.id)
        for task in user.tasks[:tasks]:
            before = len(device.wire.records)
            answer = device.ask(task.text, task.task_type)
            yield shown(task, answer, device.wire.records[before:])


def main() -> None:
    parser = argparse.ArgumentParser(description="A cloud and a device in two processes.")
    parser.add_argument("--leader", metavar="URL", help="the cloud's model; by default a stand-in")
    parser.add_argument("--device-model", metavar="URL", help="the device's model; by default a stand-in")
    parser.add_argument("--tasks", type=int, default=2, help="how many tasks (default 2)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    for text in run(given.leader, given.device_model, given.tasks):
        print(text, end="\n\n", flush=True)


if __name__ == "__main__":
    main()
