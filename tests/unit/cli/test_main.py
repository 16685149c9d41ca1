"""Command line: flags follow from the function `run` of each command."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from rankrefine.cli import signature
from rankrefine.cli.commands import COMMANDS
from rankrefine.cli.main import main

SOURCE = '''
def run(config: dict[str, Any], pool: Path, names: list[str], count: int = 5, folder: Path = Path("results"),
        kind: Literal["model", "dataset"] = "model", prompt: str | None = None, quiet: bool = False) -> None:
    """Do one thing.

    Args:
        config: Configuration.
        pool: Pool of 100 % of
            the sentences.
        names, prompt: Texts.
        count: Number.
        folder: Folder.
        kind: Kind.
        quiet: Be quiet.

    Raises:
        UserError: never.
    """
'''


@pytest.fixture
def parser(tmp_path: Path, monkeypatch) -> argparse.ArgumentParser:
    (tmp_path / "toy.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(signature, "SOURCE", tmp_path)
    summary, parameters = signature.read("toy")
    assert summary == "Do one thing."
    found = argparse.ArgumentParser()
    signature.add(found, parameters)
    return found


def test_flags_have_the_types_and_defaults_of_the_parameters(parser) -> None:
    options = vars(parser.parse_args(["--pool", "p.parquet", "--names", "a", "b"]))
    assert options == {
        **{"config": "config.yaml", "pool": Path("p.parquet"), "names": ["a", "b"], "count": 5},
        **{"folder": Path("results"), "kind": "model", "prompt": None, "quiet": False},
    }
    options = vars(parser.parse_args(["--pool", "p", "--names", "--count", "7", "--quiet", "--prompt=-x"]))
    assert (options["names"], options["count"], options["quiet"], options["prompt"]) == ([], 7, True, "-x")
    assert "Pool of 100 % of the sentences." in " ".join(parser.format_help().split())


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
        parser.parse_args(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_describes_itself_and_all_its_flags(command: str, capsys) -> None:
    summary, parameters = signature.read(COMMANDS[command])
    assert summary.endswith(".") and all(parameter.help.endswith(".") for parameter in parameters)
    with pytest.raises(SystemExit) as error:
        main([command, "--help"])
    assert error.value.code == 0
    shown = capsys.readouterr().out
    assert all(parameter.flag in shown for parameter in parameters) and "--log" in shown


def test_help_loads_no_heavy_library() -> None:
    program = (
        "import sys\nfrom rankrefine.cli.main import main\ntry: main(['refine', '--help'])\nexcept SystemExit: pass\n"
        "print({'torch', 'pyarrow', 'numpy', 'mteb'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=signature.SOURCE
    )
    assert done.stdout.endswith("set()\n")
