"""Configurations that nobody would write, through the command line: a plan, or one sentence and never a trace."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "workflow" / "run.py"
BROKEN = [
    ("seed: 2024-02-30\n", "is not valid YAML: day is out of range for month in line 1, column 7"),
    ("seeds: {count: 5\n", "is not valid YAML: while parsing a flow mapping in line 1, column 8: "),
]

# YAML laid over the miniature's, and what the refusal names; None where it is to be planned
OVERLAYS = [
    ("{seed: 4294967295, seeds: {min_words: 1}}", None),
    ("{generate: {temperature: 1.0e-300, token_budget: 1000000000}}", None),
    ("{seeds: {require_pattern: '', exclude_pattern: '[[:x:]]'}}", None),
    ('{base: {prompt: "\\u202e $(touch hacked) {seed} \'\\n e\\u0301"}}', None),
    ("{evaluate: {encoders: [{name: a.b-c_1, source: encoder}]}}", None),
    ("{seed: -1}", "seed is -1"),
    ("{seed: 2024-01-01}", "seed is of type date"),
    (f"{{seed: 1{'0' * 400}}}", "seed is a number of more than 18 digits"),
    ("{refine: {omega: .nan}}", "refine.omega is not a finite number"),
    ("{refine: {omega: .inf}}", "refine.omega is not a finite number"),
    ("{refine: {1: 2}}", "refine has the key 1"),
    ("{refine: null}", "refine is None"),
    ("{refine: [1]}", "refine is [1]"),
    ("{generate: {rounds: '3'}}", "generate.rounds is '3'"),
    ('{"ge\\nerate": {}}', "unknown key 'ge\\nerate'"),
    ('{base: {model: "\\ud800"}}', "base.model is '\\ud800'"),
    ('{base: {model: "a\\0b"}}', "base.model is 'a\\x00b'"),
    (f"{{base: {{model: {'x' * 5000}}}}}", "base.model: there is no file or folder"),
    ("{seeds: {exclude_pattern: 'a{99999999999}'}}", "seeds.exclude_pattern is 'a{99999999999}'"),
    ("{generate: {prompt: '../../$(touch hacked)'}}", "generate.prompt: no template"),
]


def test_it_plans_or_gives_one_sentence(fresh) -> None:
    def run(number: int) -> str:
        overlay, wanted = OVERLAYS[number]
        file = fresh.path / f"overlay{number}.yaml"
        file.write_text(overlay + "\n", encoding="utf-8")
        done = fresh.snakemake("--dry-run", "--nolock", "--configfile", str(file), check=False)
        told = done.stdout + done.stderr
        if "Traceback" in told:
            return f"{overlay[:60]}: a trace: {told[-800:]}"
        if wanted is None:
            return (
                "" if done.returncode == 0 and "Job stats" in told else f"{overlay[:60]}: not planned: {told[-800:]}"
            )
        sentences = [line for line in told.splitlines() if wanted in line]
        return "" if done.returncode and len(sentences) == 1 else f"{overlay[:60]}: {wanted} is not in {told[-800:]}"

    with ThreadPoolExecutor(2) as pool:
        wrong = [text for text in pool.map(run, range(len(OVERLAYS))) if text]
    assert not wrong, "\n".join(wrong)
    assert not (fresh.path / "hacked").exists()


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_broken_yaml_is_one_sentence_with_its_place(fresh, content: str, sentence: str) -> None:
    """Of a file that is laid over config.yaml `make run` alone can say so: Snakemake reads it before the Snakefile."""
    for flag in ("--configfile", "--configfiles=mine.yaml"):
        (fresh.path / "mine.yaml").write_text(content, encoding="utf-8")
        overlay = [flag] if "=" in flag else [flag, "mine.yaml"]
        command = [sys.executable, str(RUN), "--snakefile", str(fresh.project / "Snakefile"), "--cores", "1", *overlay]
        done = subprocess.run(command, cwd=fresh.path, capture_output=True, text=True)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"mine.yaml {sentence}")
        assert not (fresh.path / "results").exists()
    (fresh.path / "config.yaml").write_text(content, encoding="utf-8")
    done = fresh.snakemake("--dry-run", check=False)
    assert done.returncode == 1
    assert f"config.yaml {sentence}" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
