"""Command line: flags follow from the function `run` of each command."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rankrefine.cli import signature
from rankrefine.cli.commands import COMMANDS
from rankrefine.cli.main import _parser, main

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SOURCE = '''
def run(config: dict[str, Any], pool: Path, names: list[str], count: int = 5, folder: Path = Path("results"),
        kind: Literal["model", "dataset"] = "model", prompt: str | None = None, quiet: bool = False, *,
        more: list[float] | None, threads: int | None = None) -> None:
    """Do 100 % of one thing.

    A second paragraph is not part of the summary.

    Args:
        config: Configuration.
        pool: Pool of 100 % of
            the sentences.
        names, prompt: Texts: one
            or more.
        count: Number.
        folder: Folder.
        kind: Kind.
        quiet: Be quiet.
        more, threads: Numbers.

    Raises:
        UserError: never.
    """
'''


@pytest.fixture
def parser(tmp_path: Path, monkeypatch) -> argparse.ArgumentParser:
    (tmp_path / "toy.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(signature, "SOURCE", tmp_path)
    monkeypatch.setattr("rankrefine.cli.main.COMMANDS", {"toy": "toy"})
    return _parser()


def parsed(parser: argparse.ArgumentParser, *arguments: str) -> dict:
    options = vars(parser.parse_args(["toy", *arguments]))
    assert [options.pop(name) for name in ("command", "log", "gpus")] == ["toy", None, None]
    return options


def test_flags_have_the_types_and_defaults_of_the_parameters(parser) -> None:
    assert parsed(parser, "--pool", "p.parquet", "--names", "a", "b") == {
        **{"config": "config.yaml", "pool": Path("p.parquet"), "names": ["a", "b"], "count": 5},
        **{"folder": Path("results"), "kind": "model", "prompt": None, "quiet": False},
        **{"more": None, "threads": None},
    }
    options = parsed(parser, "--pool", "p", "--names", "--count", "7", "--quiet", "--prompt=-x", "--more", "1", "2.5")
    assert options["more"] == [1.0, 2.5]
    assert (options["names"], options["count"], options["quiet"], options["prompt"]) == ([], 7, True, "-x")


def test_help_has_the_texts_of_the_docstring(parser, capsys) -> None:
    assert "Do 100 % of one thing." in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["toy", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        *("Do 100 % of one thing. options:", "--config FILE|JSON Configuration (default: config.yaml)."),
        *("--pool POOL Pool of 100 % of the sentences.", "--prompt PROMPT Texts: one or more.", "--quiet Be quiet."),
    ):
        assert text in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--names", "a"], "the following arguments are required: --pool"),
        (["--pool", "p", "--names", "a", "--count", "many"], "argument --count: invalid int value: 'many'"),
        (["--pool", "p", "--names", "a", "--kind", "x"], "argument --kind: invalid choice: 'x'"),
    ],
)
def test_wrong_arguments_are_refused(parser, capsys, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["toy", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_describes_itself_and_all_its_flags(command: str, capsys) -> None:
    summary, flags = signature.read(COMMANDS[command])
    assert summary.endswith(".") and all(options["help"].endswith(".") for options in flags.values())
    with pytest.raises(SystemExit) as error:
        main([command, "--help"])
    assert error.value.code == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in (*flags, "--log", "--gpus"))


def test_a_terminal_without_utf_8_shows_escapes(monkeypatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("rankrefine.config.reference.as_yaml", lambda: "“Café” → \udcff\n")
    assert main(["config"]) == 0
    terminal.flush()
    assert terminal.buffer.getvalue() == rb"\u201cCaf\xe9\u201d \u2192 \udcff" + b"\n"


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, ASCII], ids=["variable", "locale"])
def test_commands_end_well_on_a_terminal_without_utf_8(variables: dict[str, str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(signature.SOURCE)} | variables
    for command in (["config"], ["config", "--markdown"], ["list-tasks", "--config", "{}"]):
        completed = subprocess.run(
            [sys.executable, "-m", "rankrefine", *command], capture_output=True, env=environment
        )
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.isascii()


def test_help_loads_no_heavy_library() -> None:
    program = (
        "import sys\nfrom rankrefine.cli.main import main\ntry: main(['refine', '--help'])\nexcept SystemExit: pass\n"
        "print({'torch', 'pyarrow', 'numpy', 'mteb'} & set(sys.modules))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=signature.SOURCE
    )
    assert completed.stdout.endswith("set()\n")
