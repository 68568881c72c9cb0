"""Plays ``python -m vllm.entrypoints.openai.api_server``; its manners are in the variable FAKE_VLLM, as JSON."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from fake_server import Fake, bound

SHOWN = ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_API_KEY", "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "MINE")
SHOWN_OF_CPU = ("VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND")


def install(folder: Path, version: str | None = None) -> Path:
    """A folder for PYTHONPATH in which this is ``vllm``; with a version, as if vllm-cpu were installed."""
    package = folder / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for place in (package, package.parent, package.parent.parent):
        (place / "__init__.py").touch()
    start = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom fake_vllm import main\nmain()\n"
    (package / "api_server.py").write_text(start)
    if version:
        info = folder / f"vllm_cpu-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm-cpu\nVersion: {version}\n")
    return folder


def main() -> None:
    manners: dict[str, Any] = json.loads(os.environ.get("FAKE_VLLM", "{}"))
    shown = {name: os.environ[name] for name in SHOWN + SHOWN_OF_CPU if name in os.environ}
    print(json.dumps({"arguments": sys.argv[1:], "env": shown, "pid": os.getpid()}), flush=True)
    if manners.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if place := manners.get("child"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(place).write_text(str(child.pid))
    if words := manners.get("fail"):
        print("(EngineCore pid=12) ERROR 11-22 08:00:00 [core.py:10] loading", words, sep="\n", flush=True)
        sys.exit(3)
    for step in range(manners.get("steps", 0)):
        print(f"(APIServer pid=1) INFO 11-22 08:00:0{step} [weights.py:12] loading weights, part {step}", flush=True)
        time.sleep(0.6)
    parser = argparse.ArgumentParser()
    for name in ("--model", "--served-model-name", "--host", "--port", "--max-model-len", "--max-lora-rank"):
        parser.add_argument(name)
    parser.add_argument("--dtype")
    parser.add_argument("--enforce-eager", action="store_true")
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--lora-modules", nargs="*", default=[])
    given = parser.parse_args()
    fake = Fake(
        model=given.served_model_name,
        adapters=dict(entry.split("=", 1) for entry in given.lora_modules),
        runtime_lora="VLLM_ALLOW_RUNTIME_LORA_UPDATING" in os.environ,
        max_lora_rank=int(given.max_lora_rank or 16),
        api_key=os.environ.get("VLLM_API_KEY"),
    )
    fake.reply = lambda body: reply(fake, body)
    server = bound(fake, given.host, int(given.port))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if manners.get("deaf") else lambda *_: os._exit(0))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    while True:
        time.sleep(60)


def reply(fake: Fake, body: dict[str, Any]) -> str:
    said = body["messages"][-1]["content"]
    if said == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"You said: {said}"
