"""VLLMServer with a process that plays vLLM."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_vllm
import pytest
from fake_server import Fake, serving

import memagent
from memagent.errors import InvalidInput, MissingExtra, ModelRefused, ModelUnavailable, ServerFailed
from memagent.llm import Prompt, VLLMServer, ports, vllm
from memagent.llm.interpreter import Interpreter, find_vllm
from memagent.llm.ports import address, choose_port
from memagent.testing import FakeClock

pytestmark = pytest.mark.model

ROOT = Path(memagent.__file__).resolve().parents[1]
TEXT: Prompt[str] = Prompt(name="greet", version=1, system="", user="Hello")


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake_vllm.install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path), str(ROOT)]))
    for name in (*fake_vllm.SHOWN, *fake_vllm.SHOWN_OF_CPU):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "server.log"


def manners(**given: Any) -> dict[str, str]:
    return {"FAKE_VLLM": json.dumps(given)}


def seen(log: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[0])
    return found


def ended(pid: int, within: float = 60.0) -> bool:
    """Whether a process goes away; one that nobody has waited for (a zombie) has ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_a_server_is_started_used_and_stopped(log: Path) -> None:
    server = VLLMServer("some/model", log=log, max_model_len=2048)
    states = [server.running]
    with server:
        assert server.running
        assert server.model().ask(TEXT).value == "You said: Hello"
        assert str(server.chat_model().invoke("Hi").text) == "You said: Hi"
        assert server.capabilities.json_schema
        assert server.metrics().prefix_queries > 0
        assert server.url.startswith("http://127.0.0.1:")
        pid = seen(log)["pid"]
        assert server.start() is server  # it runs already
    states.append(server.running)
    assert states == [False, False]
    assert ended(pid)
    arguments = seen(log)["arguments"]
    assert arguments[:4] == ["--model", "some/model", "--served-model-name", "some/model"]
    assert arguments[-2:] == ["--max-model-len", "2048"]
    assert seen(log)["env"] == {"VLLM_NO_USAGE_STATS": "1"}
    with pytest.raises(InvalidInput, match="not started"):
        _ = server.url


def test_a_model_folder_is_called_by_its_name_and_not_looked_for_on_the_hub(tmp_path: Path, log: Path) -> None:
    (tmp_path / "tiny-model").mkdir()
    with VLLMServer(tmp_path / "tiny-model", log=log, env={"MINE": "1"}) as server:
        assert server.server.models() == ["tiny-model"]
        assert server.model(capabilities=server.capabilities).ask(TEXT).value == "You said: Hello"
    assert seen(log)["env"] == {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "MINE": "1"}


def test_its_messages_go_to_a_temporary_file_that_does_not_stay() -> None:
    with VLLMServer("m") as server:
        log = server.log
        assert log is not None
        assert "--model" in server.log_tail()
    assert not log.exists()


def test_the_start_is_told_about(log: Path) -> None:
    told: list[str] = []
    with VLLMServer("m", log=log, env=manners(steps=6), progress=told.append):
        pass
    parts = [line.rpartition("loading weights, part ")[2] for line in told if "loading weights, part " in line]
    assert len(set(parts)) > 1  # it goes along with the log
    assert parts == sorted(parts)
    assert told[0].startswith("starting vLLM, ")
    assert told[-1].startswith("vLLM is ready after ")


def test_a_start_that_fails_shows_the_end_of_the_log_and_what_to_do() -> None:
    words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    with pytest.raises(ServerFailed, match="CUDA out of memory") as caught:
        VLLMServer("m", env=manners(fail=words)).start()
    assert "ended with status 3" in caught.value.message
    assert "smaller" in caught.value.hint
    log = Path(caught.value.message.partition("its log, ")[2].partition(":")[0])
    assert log.is_file()  # for whoever wants to see all of it
    log.unlink()


def test_arguments_that_vllm_does_not_know(log: Path) -> None:
    with pytest.raises(ServerFailed, match="unrecognized arguments: --frobnicate") as caught:
        VLLMServer("m", log=log, extra_args=["--frobnicate"]).start()
    assert "extra_args" in caught.value.hint


def test_a_start_that_takes_too_long(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        """Jumps ahead when the server has said something, however late that is."""

        def monotonic(self) -> float:
            return time.monotonic() + (600 if log.exists() and "loading weights" in log.read_text() else 0)

        sleep = staticmethod(time.sleep)

    monkeypatch.setattr(vllm, "time", Clock())
    with pytest.raises(ServerFailed, match=r"within 300 s"):
        VLLMServer("m", log=log, env=manners(steps=60), start_timeout=300).start()
    assert ended(seen(log)["pid"])


def test_an_interrupted_start_leaves_nothing_behind(log: Path) -> None:
    def interrupt(line: str) -> None:
        if "loading weights" in line:  # it lives, and has said so
            raise KeyboardInterrupt

    server = VLLMServer("m", log=log, env=manners(steps=60), progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert not server.running
    assert ended(seen(log)["pid"])


def test_with_the_server_its_own_processes_end(tmp_path: Path, log: Path) -> None:
    note = tmp_path / "child.pid"
    with VLLMServer("m", log=log, env=manners(child=str(note))):
        child = int(note.read_text())
        assert not ended(child, within=0.2)
    assert ended(child)


def test_a_server_that_does_not_listen_is_killed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "_GRACE", 0.5)
    with VLLMServer("m", log=log, env=manners(deaf=True)):
        pid = seen(log)["pid"]
    assert ended(pid)


def test_a_server_that_dies_is_an_error_that_may_pass_and_can_be_started_again(log: Path) -> None:
    server = VLLMServer("m", log=log)
    with server:
        model = server.model(clock=FakeClock(), retries=2)
        dying: Prompt[str] = Prompt(name="d", version=1, system="", user="die")
        with pytest.raises(ModelUnavailable) as caught:
            model.ask(dying)
        assert caught.value.retryable
        assert ended(seen(log)["pid"])
        deadline = time.monotonic() + 60
        while server.running and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.running
        with pytest.raises(ModelUnavailable, match=r"refused|failed"):
            model.ask(TEXT)
        server.stop()
        server.start()
        assert server.model().ask(TEXT).value == "You said: Hello"


def test_what_is_left_of_a_server_is_ended_before_the_next_one_starts(log: Path) -> None:
    with VLLMServer("m", log=log) as server:
        pid, keeping = seen(log)["pid"], server._process
        assert keeping is not None
        assert keeping.stdout is not None
        keeping.kill()  # as when memory runs out; what it keeps goes on
        keeping.wait()
        assert not ended(pid, within=0.2)
        server.start()
        assert ended(pid)
        assert keeping.stdout.closed


SCRIPT = """
import signal, sys, time
from memagent.llm import VLLMServer
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
server = VLLMServer("m", log=sys.argv[1]).start()
print("ready", flush=True)
if sys.argv[2] == "with":
    with server:
        time.sleep(600)
elif sys.argv[2] == "wait":
    time.sleep(600)
"""


@pytest.fixture
def program(log: Path) -> Iterator[Any]:
    begun: list[subprocess.Popen[str]] = []

    def begin(way: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(log), way], stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_ctrl_c_stops_the_server(program: Any, log: Path) -> None:
    process = program("with")
    process.send_signal(signal.SIGINT)
    assert process.wait(120) != 0
    assert ended(seen(log)["pid"])


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_program_leaves_no_server_behind(program: Any, log: Path, kind: signal.Signals) -> None:
    process = program("wait")
    process.send_signal(kind)
    process.wait(120)
    assert ended(seen(log)["pid"])


def test_a_program_that_ends_without_a_word_leaves_no_server_behind(program: Any, log: Path) -> None:
    assert program("end").wait(120) == 0
    assert ended(seen(log)["pid"])


def adapter(folder: Path, rank: int = 8) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


def test_adapters_come_with_the_start_and_later(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = adapter(tmp_path / "first"), adapter(tmp_path / "second", rank=32)
    monkeypatch.chdir(tmp_path)
    with VLLMServer("m", lora={"one": "first"}, max_lora_rank=32, log=log) as server:
        server.load_lora("two", "second")
        assert server.server.adapters() == ["one", "two"]
        assert server.model("two", capabilities=server.capabilities).ask(TEXT).value == "two: You said: Hello"
        server.unload_lora("two")
        assert server.server.adapters() == ["one"]
        assert server.capabilities.lora
    arguments = seen(log)["arguments"]
    assert arguments[-5:] == ["--enable-lora", "--max-lora-rank", "32", "--lora-modules", f"one={first}"]
    assert seen(log)["env"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert second.is_dir()


def test_without_adapters_there_are_none(tmp_path: Path) -> None:
    with VLLMServer("m") as server:
        assert not server.capabilities.lora
        with pytest.raises(ModelRefused, match="adapters enabled"):
            server.load_lora("one", adapter(tmp_path / "one"))


def test_a_key_goes_by_the_environment_and_not_by_the_arguments(log: Path) -> None:
    with VLLMServer("m", api_key="secret", log=log) as server:
        assert server.model().ask(TEXT).value == "You said: Hello"
    assert seen(log)["env"]["VLLM_API_KEY"] == "secret"
    assert "secret" not in " ".join(seen(log)["arguments"])


def test_a_free_port_is_none_that_the_system_gives_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 15_000 <= choose_port("127.0.0.1", None) < 30_000
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_QUIET", range(port, port + 1))
        monkeypatch.setattr(ports, "_TRIES", 1)
        assert choose_port("127.0.0.1", None) not in (0, port)
    with pytest.raises(ServerFailed, match="the host no"):
        choose_port("no.such.host.invalid", None)


def test_a_port_that_is_taken(log: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServerFailed, match="cannot be used") as caught:
            VLLMServer("m", port=taken.getsockname()[1], log=log).start()
    assert "port" in caught.value.hint
    assert not log.exists()


def test_a_host_that_is_not_here() -> None:
    with pytest.raises(ServerFailed, match="cannot be used") as caught:
        VLLMServer("m", host="192.0.2.1").start()
    assert "127.0.0.1" in caught.value.hint


def test_addresses_are_those_by_which_this_machine_reaches_the_server() -> None:
    assert address("127.0.0.1", 80) == address("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert address("::1", 80) == address("::", 80) == "http://[::1]:80"


@pytest.mark.parametrize(
    ("argument", "own"), [("--port", "port"), ("--served_model_name=x", "name"), ("--api-key", "api_key")]
)
def test_what_is_an_argument_of_ours_is_not_for_vllm(argument: str, own: str) -> None:
    with pytest.raises(InvalidInput, match=argument) as caught:
        VLLMServer("m", extra_args=[argument])
    assert own in caught.value.hint


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        VLLMServer("m", log=tmp_path).start()
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot be written"):
        VLLMServer("m", log=tmp_path / "file" / "server.log").start()


def test_another_server_is_not_taken_for_ours(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Fake(model="somebody-elses")) as other:
        port = int(other.url.rpartition(":")[2])
        monkeypatch.setattr(vllm, "choose_port", lambda host, wanted: port)  # it came after the port was chosen
        server = VLLMServer("m", log=log, env=manners(steps=5))
        with pytest.raises(ServerFailed, match="another server"):
            server.start()
    assert not server.running


def test_two_threads_that_start_it_have_one_server(log: Path) -> None:
    server = VLLMServer("m", log=log, env=manners(steps=1))
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(server.start().url)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.stop()
    assert len(urls) == 2
    assert len(set(urls)) == 1
    assert log.read_text().count('"pid"') == 1


def test_the_cpu_build_is_started_as_it_needs(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake_vllm.install(tmp_path / "cpu", version="0.32.0")
    monkeypatch.setenv("PYTHONPATH", str(path))
    with VLLMServer("m", log=log, extra_args=["--dtype=float32"], env={"VLLM_CPU_KVCACHE_SPACE": "1"}) as server:
        assert server.interpreter == Interpreter(Path(sys.executable), "0.32.0", True)
    arguments = seen(log)["arguments"]
    assert "--enforce-eager" in arguments
    assert "bfloat16" not in arguments
    assert seen(log)["env"]["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert seen(log)["env"]["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_the_interpreter_is_found(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert find_vllm(tmp_path).path == tmp_path / "bin" / "python"
    assert find_vllm().path == Path(sys.executable)


def test_no_vllm_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(MissingExtra, match=r"memagent\[vllm\]"):
        VLLMServer("m").start()


@pytest.mark.parametrize("python", ["missing", "/bin/false", "/"])
def test_what_is_no_python(python: str) -> None:
    with pytest.raises(InvalidInput, match="no Python that runs"):
        VLLMServer("m", python=python).start()
