"""Extreme and invalid configurations through the command line: a plan or one error message, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "workflow" / "run.py"
BROKEN = [
    ("seed: 2024-02-30\n", "is not valid YAML: day is out of range for month in line 1, column 7"),
    ("seeds: {count: 5\n", "is not valid YAML: while parsing a flow mapping in line 1, column 8: "),
]

# YAML merged into the miniature's configuration, and a part of the error message; None: it is planned
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
    ("{generate: {prompt: '../../$(touch hacked)'}}", "generate.prompt: there is no prompt template"),
    ("{examples: {recipe: x}, base: {objective: contrastive}}", "examples.recipe: there is no recipe 'x'"),
    ("{write: {recipe: x}, seeds: {sources: [{name: a, source: written}]}}", "write.recipe: there is no recipe 'x'"),
]


@pytest.mark.parametrize(("overlay", "message"), OVERLAYS, ids=range(len(OVERLAYS)))
def test_it_plans_or_gives_one_sentence(fresh, overlay: str, message: str | None) -> None:
    file = fresh.path / "overlay.yaml"
    file.write_text(overlay + "\n", encoding="utf-8")
    completed = fresh.snakemake("--dry-run", "--configfile", str(file), check=False)
    printed = completed.stdout + completed.stderr
    assert "Traceback" not in printed
    if message is None:
        assert completed.returncode == 0 and "Job stats" in printed, printed
    else:
        assert completed.returncode != 0
        assert len([line for line in printed.splitlines() if message in line]) == 1, printed
    assert not (fresh.path / "hacked").exists()


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_broken_yaml_is_one_sentence_with_its_place(fresh, content: str, sentence: str) -> None:
    """For a file given with --configfile this is the work of `make run`: Snakemake reads it before the Snakefile."""
    for flag in ("--configfile", "--configfiles=mine.yaml"):
        (fresh.path / "mine.yaml").write_text(content, encoding="utf-8")
        overlay = [flag] if "=" in flag else [flag, "mine.yaml"]
        command = [sys.executable, str(RUN), "--snakefile", str(fresh.project / "Snakefile"), "--cores", "1", *overlay]
        completed = subprocess.run(command, cwd=fresh.path, capture_output=True, text=True)
        assert completed.returncode == 1
        (line,) = completed.stderr.splitlines()
        assert line.startswith(f"mine.yaml {sentence}")
        assert not (fresh.path / "results").exists()
    (fresh.path / "config.yaml").write_text(content, encoding="utf-8")
    completed = fresh.snakemake("--dry-run", check=False)
    assert completed.returncode == 1
    assert f"config.yaml {sentence}" in completed.stdout + completed.stderr
    assert "Traceback" not in completed.stdout + completed.stderr


TWICE = "refine: {omega: 1}\nseed: 3\nrefine: {tau: 1}\n"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.yaml", TWICE, "config.yaml: key 'refine' appears twice, in line 1 and line 3; keep one."),
        ("mine.yaml", TWICE, "mine.yaml: key 'refine' appears twice, in line 1 and line 3; keep one."),
        (
            "mine.json",
            '{"seed": 1,\n\t"seed": 1}',
            "mine.json: key 'seed' appears twice, in line 1 and line 2; keep one.",
        ),
    ],
)
def test_a_key_twice_is_refused_also_without_make_run(fresh, name: str, content: str, sentence: str) -> None:
    """Snakemake itself drops the first of the two."""
    (fresh.path / name).write_text(content, encoding="utf-8")
    overlay = () if name == "config.yaml" else ("--configfile", "sound.yaml", name)
    (fresh.path / "sound.yaml").write_text("seed: 7\n", encoding="utf-8")
    completed = fresh.snakemake("--dry-run", *overlay, check=False)
    printed = completed.stdout + completed.stderr
    assert completed.returncode == 1
    assert len([line for line in printed.splitlines() if sentence in line]) == 1, printed
    assert "Traceback" not in printed


def test_keys_of_several_files_and_of_the_command_line_override_each_other(fresh) -> None:
    (fresh.path / "one.yaml").write_text("seed: 7\n", encoding="utf-8")
    (fresh.path / "two.json").write_text('{\n\t"seed": 8\n}', encoding="utf-8")
    for value, expected in (("9", None), ("-9", "seed is -9")):
        arguments = ("--configfile", "one.yaml", "two.json", "--config", f"seed={value}")
        completed = fresh.snakemake("--dry-run", *arguments, check=False)
        printed = completed.stdout + completed.stderr
        assert (completed.returncode == 0) is (expected is None), printed
        assert (expected or "Job stats") in printed
