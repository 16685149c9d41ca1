"""Jobs request one GPU each on a machine with GPUs, and none elsewhere."""

from __future__ import annotations

import os
import re

ON_A_GPU = {"base", "teacher", "refine", "evaluate"}  # the miniature's fake engine has no use for one


def requested(folder, *arguments: str) -> dict[str, int]:
    """Number of GPUs of the planned jobs, by rule."""
    out = folder.snakemake("--dry-run", "--printshellcmds", "--cores", "2", *arguments).stdout
    found = re.findall(r" -m rankrefine (\w+) .* --gpus (\d+) ", out)
    assert {rule for rule, _ in found} == ON_A_GPU | {"generate"}
    return {rule: int(count) for rule, count in found}


def test_jobs_ask_for_a_gpu_where_there_is_one_and_only_there(fresh, tmp_path, monkeypatch) -> None:
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert not any(requested(fresh).values())
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-a)'\necho 'GPU 1: A (UUID: GPU-b)'\n")
    some = {rule: count for rule, count in requested(fresh).items() if count}
    assert some == dict.fromkeys(ON_A_GPU, 1)
    assert requested(fresh, "--set-resources", "refine:processes=2")["refine"] == 2
    assert requested(fresh, "--set-resources", "refine:processes=3")["refine"] == 2  # no more than there are
    fresh.configure("generate.engine", "transformers")
    fresh.configure("generate.model", "encoder2")
    assert requested(fresh)["generate"] == 1
