"""Files of the project that must agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import rankrefine

ROOT = Path(__file__).parents[2]


def name(requirement: str) -> str:
    return re.split(r"[=<>\[ ]", requirement)[0].lower().replace("_", "-")


def pins(lines: list[str]) -> dict[str, str]:
    return {name(line): line.partition("==")[2].strip() for line in lines if "==" in line}


def test_pins_ranges_and_environment_agree() -> None:
    exact = pins((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {name(requirement) for requirement in project["dependencies"]}
    optional = {name(r) for group in project["optional-dependencies"].values() for r in group}
    assert direct | optional <= set(exact)
    environment = yaml.safe_load((ROOT / "envs" / "rankrefine.yaml").read_text(encoding="utf-8"))
    inside = pins(environment["dependencies"][-1]["pip"])
    assert set(inside) == direct | {"setuptools"}
    assert all(exact[package] == version for package, version in inside.items())


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == rankrefine.__version__


def test_every_rule_is_a_verb_with_its_name() -> None:
    from rankrefine.cli import VERBS

    rules = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^rule (\w+):", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert rules - {"local_asset", "gguf_asset", "page"} == set(VERBS) - {"config"}
