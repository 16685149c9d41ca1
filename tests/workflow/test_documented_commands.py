"""Every `snakemake` command with a target that the documentation or the Snakefile names can be planned."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "Snakefile"]
# in a code span, or on a line of its own, up to a comment
COMMAND = re.compile(r"`(snakemake [^`]+)`|^#? +(snakemake .+?)(?:  +(.*))?$", re.MULTILINE)
ALTERNATIVES = re.compile(r": (\w+(?:, \w+)+)$")
PLACEHOLDER = "RULE"


def commands(text: str) -> list[str]:
    """Arguments of the commands with a target, `--until` or `-R`.

    Where the comment lists alternatives ("up to a stage: seeds, scores"), each takes the place of the last argument.
    """
    found = []
    for span, line, comment in COMMAND.findall(text):
        command = (span or line).replace(PLACEHOLDER, "refine")
        found.append(command)
        if listed := ALTERNATIVES.search(comment):
            found += [f"{command.rpartition(' ')[0]} {rule}" for rule in listed[1].split(", ")]
    arguments = [command.removeprefix("snakemake ") for command in found]
    return [text for text in arguments if has_target(text)]


def has_target(arguments: str) -> bool:
    """Whether Snakemake's own parser finds a target; fragments in prose, such as `snakemake --profile`, have none."""
    try:
        options = get_argument_parser().parse_args(shlex.split(arguments))
    except SystemExit:
        return False
    return bool(options.targets or options.until or options.forcerun)


COMMANDS = {arguments: page.name for page in PAGES for arguments in commands(page.read_text(encoding="utf-8"))}


def test_commands_are_found() -> None:
    text = "Use `snakemake -R RULE`.\n\n    snakemake --cores all --until a   # up to a rule: b, c\n    snakemake -n\n"
    assert commands(text) == ["-R refine", *(f"--cores all --until {rule}" for rule in "abc")]
    assert {"Snakefile", "usage.md", "cluster.md"} <= set(COMMANDS.values())


@pytest.mark.parametrize("arguments", COMMANDS)
def test_it_plans(fresh, arguments: str) -> None:
    (fresh.path / "mine.yaml").write_text("{}\n", encoding="utf-8")
    (fresh.path / "workflow").symlink_to(ROOT / "workflow")
    assert "Job stats" in fresh.snakemake("--dry-run", *shlex.split(arguments)).stdout
