"""Properties of the SLURM profile and of runs on a cluster, checked without one (tests/slurm starts a cluster)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "workflow" / "profiles" / "slurm"


def rules() -> dict[str, str]:
    """Text of every rule that is submitted, by name."""
    found: dict[str, str] = {}
    local: set[str] = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = file.read_text(encoding="utf-8")
        for names in re.findall(r"^localrules:\n((?:    \w+,\n)+)", text, re.MULTILINE):
            local |= set(re.findall(r"\w+", names))
        for part in re.split(r"^ *rule ", text, flags=re.MULTILINE)[1:]:
            found[part.partition(":")[0]] = part
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):  # `use rule A as B with:` has the text of A
        text = file.read_text(encoding="utf-8")
        for old, new in re.findall(r"^ *use rule (\w+) as (\w+) with:", text, re.MULTILINE):
            found[new] = found[old]
    return {name: text for name, text in found.items() if name not in local and "localrule: True" not in text}


@pytest.mark.parametrize("name", ["slurm", "workstation"])
def test_a_profile_names_the_memory_of_every_rule_that_is_submitted(name: str) -> None:
    profile = yaml.safe_load((ROOT / "workflow" / "profiles" / name / "profile.yaml").read_text(encoding="utf-8"))
    table = {rule: row for rule, row in profile["set-resources"].items() if rule != "gpu_node"}
    assert set(table) == set(rules())
    assert all("mem_mb" in row for row in table.values())


def test_every_attempt_on_slurm_gets_more_memory_and_time() -> None:
    profile = yaml.safe_load((PROFILE / "profile.yaml").read_text(encoding="utf-8"))
    table = [row for rule, row in profile["set-resources"].items() if rule != "gpu_node"]
    for row in [*table, profile["default-resources"]]:
        for key in ("mem_mb", "runtime"):
            assert str(row[key]).endswith("* attempt"), row
    assert profile["retries"] >= 1
    assert set(profile["set-threads"]) == {name for name, text in rules().items() if "    threads:" in text}


def test_only_the_profile_sets_retries() -> None:
    """Retries of a rule would run inside the allocation, with the memory and time of the first attempt."""
    assert not [name for name, text in rules().items() if re.search(r"^    retries:", text, re.MULTILINE)]


def test_all_values_that_a_site_must_edit_are_in_the_marked_block() -> None:
    text = (PROFILE / "profile.yaml").read_text(encoding="utf-8")
    block = text[text.index("# ==== EDIT") : text.index("# ==== end of what must be edited")]
    assert block.count('"EDIT"') == text.count('"EDIT"') == 3


def test_the_profile_plans_without_a_cluster(fresh) -> None:
    assert fresh.planned("--profile", str(PROFILE), "consolidate") == {"seeds": 1, "generate": 3, "consolidate": 1}


@pytest.fixture
def queue(fresh, monkeypatch):
    """Call it with the lines that `squeue` prints; `scancel` writes its arguments to the file `cancelled`."""

    def show(*lines: str) -> None:
        folder = fresh.path.parent / "bin"
        folder.mkdir()
        text = "".join(f"echo '{line}'\n" for line in lines)
        for name, script in (("squeue", text), ("scancel", f'echo "$@" > {folder}/cancelled\n')):
            (folder / name).write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return show


def test_the_documented_command_cancels_the_jobs_of_this_folder_alone(fresh, queue) -> None:
    here = fresh.path.rename(fresh.path.parent / "with space")
    others = ("13|rankrefine_a|/elsewhere", f"14|mine|{here}", f"15|rankrefine_a|{here}2")
    queue(f"11|rankrefine_a|{here}", *others, f"16|rankrefine_b|{here}")
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (squeue --me .*)", text, re.MULTILINE)
    subprocess.run(["sh", "-c", command], cwd=here, check=True)
    assert (fresh.path.parent / "bin" / "cancelled").read_text(encoding="utf-8") == "11 16\n"


def test_jobs_of_a_killed_run_in_this_folder_stop_a_run(fresh, queue) -> None:
    queue(f"12|rankrefine_abc|{fresh.path}", "13|rankrefine_abc|/elsewhere", f"14|mine|{fresh.path}")
    completed = fresh.snakemake("--cores", "1", "seeds", check=False)
    assert completed.returncode != 0
    assert "still in the queue; wait for them, or cancel them with: scancel 12\n" in completed.stderr
    assert "Traceback" not in completed.stderr
    assert not fresh.read("results/**/*.parquet")


def test_other_jobs_in_the_queue_do_not_stop_a_run(fresh, queue) -> None:
    queue("13|rankrefine_abc|/elsewhere", f"14|mine|{fresh.path}")
    fresh.snakemake("--cores", "1", "seeds")


def test_slurms_reason_for_ending_a_job_is_printed_last(fresh) -> None:
    log = fresh.path / "results" / "logs" / "slurm" / "rule_generate" / "00000" / "3.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "slurmstepd-n1: error: StepId=3.0 exceeded memory limit (8 > 7), being killed\n"
        "slurmstepd-n1: error: *** STEP 3.0 ON n1 CANCELLED AT 2026-11-21T23:18:00 ***\n",
        encoding="utf-8",
    )
    later = log.stat().st_mtime + 600  # as if it had been written while the run is under way
    os.utime(log, (later, later))
    fresh.configure("seeds.count", 1000)
    completed = fresh.snakemake("--cores", "2", "consolidate", check=False)
    message = "SLURM ended a job: StepId=3.0 exceeded memory limit (8 > 7), being killed (results/logs/slurm/rule_"
    assert completed.stderr.count("SLURM ended a job") == completed.stderr.count(message) == 1, completed.stderr
