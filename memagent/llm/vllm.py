"""Starting and stopping a vLLM server.

vLLM needs versions of its own of many libraries, so it may live in another environment: its interpreter is started as
a process, and talked to over HTTP on this machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, ModelError, ServerFailed
from memagent.files import as_path
from memagent.llm import keeper
from memagent.llm.interpreter import Interpreter, find_vllm
from memagent.llm.ports import PORT_HINT, address, choose_port
from memagent.llm.server import Server, ServerMetrics
from memagent.llm.server_log import last_words, tail

if TYPE_CHECKING:
    from types import TracebackType

    from langchain_core.language_models import BaseChatModel

    from memagent.llm.model import Model
    from memagent.llm.wire import Capabilities

_GRACE = 20.0  # seconds that the server has to end by itself
_LOOK = 0.25
_TAIL = 40  # lines of the log that an error shows
_MODULE = "vllm.entrypoints.openai.api_server"
# What made the CPU build start and answer on small machines; `env` and `extra_args` go first.
_CPU_ENV = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
_CPU_ARGS = {"--dtype": ["bfloat16"], "--enforce-eager": []}
# Flags of vLLM that are arguments of ours: given as extra_args, the server would be waited for in the wrong place.
_OURS = {
    "--model": "model",
    "--served-model-name": "name",
    "--host": "host",
    "--port": "port",
    "--api-key": "api_key",
}
_QUIET_ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
_ADVICE = (
    ("address already in use", PORT_HINT),
    ("out of memory", "a smaller model, a smaller max_model_len, or a lower --gpu-memory-utilization may fit"),
    ("no available memory for the cache", "a smaller max_model_len, or more --gpu-memory-utilization, may do"),
    ("larger than the maximum number of tokens", "choose a smaller max_model_len"),
    ("greater than max_lora_rank", "choose a larger max_lora_rank"),
    ("unrecognized arguments", "this version of vLLM does not know one of extra_args"),
    ("is not a local folder", "the model must be a folder or a name that the hub, or its local cache, has"),
)


class VLLMServer:
    """A vLLM server of one's own, as a context manager or with :meth:`start` and :meth:`stop`.

    ``model``: a model folder or a name on the hub. ``lora``: adapters by name (an empty mapping: none yet, but they
    can be loaded later; None: no adapters, which is faster), up to rank ``max_lora_rank``. ``max_model_len``: tokens
    of prompt and answer together. ``extra_args`` go to vLLM as they are. ``python``: the interpreter, or the
    environment's folder, that has vLLM; None for the running one. ``port`` None takes a free one. ``name``: what the
    model is called in requests; by default the folder's name. ``env``: variables for the server. ``log``: the file of
    its messages; by default a temporary one that is kept only after a failure. ``progress`` is told about once a second
    how the start goes.

    The server ends with :meth:`stop`, at the end of the ``with`` block (also after Ctrl-C), and when this process
    ends in whatever way. It listens on this machine only, unless ``host`` says otherwise.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        lora: Mapping[str, str | Path] | None = None,
        max_model_len: int | None = None,
        extra_args: Sequence[str] = (),
        python: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        name: str | None = None,
        max_lora_rank: int = 16,
        env: Mapping[str, str] | None = None,
        log: str | Path | None = None,
        api_key: str | None = None,
        start_timeout: float = 900.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        folder = Path(model).expanduser()
        self._local = folder.is_dir()
        self._model = str(folder.resolve()) if self._local else str(model)
        self.name = name or (folder.resolve().name if self._local else str(model))
        self._lora = None if lora is None else {key: as_path(place, "an adapter") for key, place in lora.items()}
        self._max_model_len = max_model_len
        self._extra_args = _checked(extra_args)
        self._python = python
        self._host = host
        self._port = port
        self._max_lora_rank = max_lora_rank
        self._env = dict(env or {})
        self._given_log = None if log is None else as_path(log, "the log")
        self._api_key = api_key
        self._start_timeout = start_timeout
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._group: int | None = None
        self._server: Server | None = None
        self._starting = threading.Lock()
        self.log: Path | None = self._given_log
        self.interpreter: Interpreter | None = None

    # life

    def start(self) -> VLLMServer:
        """Start the server and wait until it answers; nothing if it runs.

        Raises :class:`~memagent.errors.MissingExtra` where there is no vLLM, and
        :class:`~memagent.errors.ServerFailed`, with the end of the server's log, when it does not come up.
        """
        with self._starting:  # a second thread waits for the same server
            return self if self.running else self._started()

    def _started(self) -> VLLMServer:
        self._end(keep_log=True)  # what is left of one that has ended by itself
        self.interpreter = find_vllm(self._python)
        port = choose_port(self._host, self._port)
        self._log_file()
        try:
            self._launch(self._command(port), self._environment())
            self._server = Server(address(self._host, port), model=self.name, api_key=self._api_key)
            self._wait(self._server)
        except BaseException:
            self._end(keep_log=True)
            raise
        return self

    def stop(self) -> None:
        """End the server and every process it has started; nothing if it does not run."""
        self._end(keep_log=False)

    def __enter__(self) -> VLLMServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(keep_log=isinstance(error, ModelError))

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    # use

    @property
    def server(self) -> Server:
        """The server as any client sees it."""
        if self._server is None:
            raise InvalidInput("the vLLM server was not started", hint="use it in a with block, or call start()")
        return self._server

    @property
    def url(self) -> str:
        """Its address, without ``/v1``."""
        return self.server.url

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, found out by asking."""
        return self.server.capabilities

    def chat_model(self, name: str | None = None, **options: Any) -> BaseChatModel:
        """A LangChain chat model on this server; see :meth:`Server.chat_model`."""
        return self.server.chat_model(name, **options)

    def model(self, name: str | None = None, **options: Any) -> Model:
        """A :class:`~memagent.llm.Model` on this server; see :meth:`Server.model`."""
        return self.server.model(name, **options)

    def load_lora(self, name: str, path: str | Path, *, replace: bool = False) -> None:
        """Load an adapter; see :meth:`Server.load_lora`."""
        self.server.load_lora(name, as_path(path, "the adapter").resolve(), replace=replace)

    def unload_lora(self, name: str) -> None:
        """Unload an adapter."""
        self.server.unload_lora(name)

    def metrics(self) -> ServerMetrics:
        """What it has counted since its start."""
        return self.server.metrics()

    def log_tail(self, lines: int = _TAIL) -> str:
        """The last lines of its messages."""
        return tail(self.log, lines)

    # parts of the start

    def _command(self, port: int) -> list[str]:
        found = self.interpreter
        assert found is not None
        command = [str(found.path), "-m", _MODULE, "--model", self._model, "--served-model-name", self.name]
        command += ["--host", self._host, "--port", str(port)]
        if self._max_model_len is not None:
            command += ["--max-model-len", str(self._max_model_len)]
        if self._lora is not None:
            command += ["--enable-lora", "--max-lora-rank", str(self._max_lora_rank)]
        if self._lora:
            command += ["--lora-modules", *(f"{name}={place.resolve()}" for name, place in self._lora.items())]
        given = set(map(_flag, self._extra_args))
        if found.cpu:
            command += [part for flag, values in _CPU_ARGS.items() if flag not in given for part in (flag, *values)]
        return command + self._extra_args

    def _environment(self) -> dict[str, str]:
        made = dict(os.environ)
        for name, value in _QUIET_ENV.items():
            made.setdefault(name, value)
        if self.interpreter and self.interpreter.cpu:
            for name, value in _CPU_ENV.items():
                made.setdefault(name, value)
        if self._local:  # nothing of a model in a folder is on the hub
            made.setdefault("HF_HUB_OFFLINE", "1")
        if self._lora is not None:
            made["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        if self._api_key is not None:  # as an argument everybody on this machine could read it
            made["VLLM_API_KEY"] = self._api_key
        return made | self._env

    def _launch(self, command: list[str], environment: dict[str, str]) -> None:
        assert self.log is not None
        keeping = [sys.executable, "-S", "-E", str(Path(keeper.__file__)), str(self.log), str(_GRACE), *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                keeping,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who then stop the server in order
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        self._group = int(line) if line.isdigit() else None

    def _wait(self, server: Server) -> None:
        began = time.monotonic()
        told = 0.0
        while not server.healthy(timeout=5.0):
            seconds = time.monotonic() - began
            if not self.running:
                raise self._failure(f"it ended with status {self._process.returncode if self._process else None}")
            if seconds > self._start_timeout:
                raise self._failure(f"it did not answer within {self._start_timeout:g} s")
            if self._progress and seconds - told >= 1.0:
                told = seconds
                self._progress(f"starting vLLM, {seconds:.0f} s: {last_words(self.log)}")
            time.sleep(_LOOK)
        if not self._serves(server):
            raise self._failure("another server answers at its address")
        if self._progress:
            self._progress(f"vLLM is ready after {time.monotonic() - began:.0f} s")

    def _serves(self, server: Server) -> bool:
        """Whether it is ours that answers, as far as can be told."""
        try:
            return self.running and self.name in server.models()
        except ModelError:  # it wants a key that we do not have, or is slow
            return True

    def _failure(self, what: str) -> ServerFailed:
        end = self.log_tail()
        advice = next((hint for words, hint in _ADVICE if words in end.lower()), "its log says more")
        return ServerFailed(f"vLLM did not start: {what}. The end of its log, {self.log}:\n{end}", hint=advice)

    def _end(self, *, keep_log: bool) -> None:
        process, self._process = self._process, None
        self._server = None
        if process is None:
            return
        if process.stdin:
            with suppress(BrokenPipeError):
                process.stdin.close()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_GRACE + 10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if self._group is not None:
                keeper.end(self._group, signal.SIGKILL)
                self._group = None
            if process.stdout:
                process.stdout.close()
        if self._given_log is None and self.log is not None and not keep_log:
            self.log.unlink(missing_ok=True)
            self.log = None

    def _log_file(self) -> None:
        if self._given_log is not None:
            try:
                self._given_log.parent.mkdir(parents=True, exist_ok=True)
                self._given_log.open("ab").close()
            except OSError as error:
                raise InvalidInput(
                    f"the log {self._given_log} cannot be written: {error.strerror}", hint="name another file"
                ) from None
            self.log = self._given_log
        else:
            descriptor, path = tempfile.mkstemp(prefix="memagent-vllm-", suffix=".log")
            os.close(descriptor)
            self.log = Path(path)


def _checked(extra_args: Sequence[str]) -> list[str]:
    for argument in extra_args:
        if own := _OURS.get(_flag(argument)):
            raise InvalidInput(f"{argument} is not for extra_args", hint=f"pass {own}=...")
    return list(extra_args)


def _flag(argument: str) -> str:
    """The name of an option, as vLLM takes it too with underscores and with its value behind a =."""
    name = argument.partition("=")[0]
    return name.replace("_", "-") if name.startswith("--") else name
