"""Facts about engines: there are some for every engine of the schema, and asking for them loads no library."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rankrefine.config.schema import leaves
from rankrefine.llm.facts import EngineFacts, facts

ROOT = Path(__file__).parents[3]
ENGINES = dict(leaves())["generate.engine"]["enum"]
CPU, GPU = ({"device": device, "tensor_parallel": 3} for device in ("cpu", "auto"))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_has_facts_an_environment_and_a_module(engine: str) -> None:
    assert isinstance(facts(engine), EngineFacts)
    assert (ROOT / "envs" / f"{facts(engine).environment}.yaml").is_file()
    assert find_spec(f"rankrefine.llm.{engine}.engine") is not None
    assert facts(engine).gpus(CPU) == 0


def test_a_job_asks_for_the_gpus_that_its_engine_uses() -> None:
    gpus = {engine: facts(engine).gpus(GPU) for engine in ENGINES}
    assert gpus | {"transformers": 1, "vllm": 3, "fake": 0} == gpus
    assert facts("transformers").needs_model and not facts("fake").needs_model


def test_facts_are_light() -> None:
    program = f"import sys; from rankrefine.llm.facts import facts; [facts(e) for e in {ENGINES}]; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert not {"torch", "numpy", "pyarrow", "yaml", "transformers"} & set(done.stdout.split())
