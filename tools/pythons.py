"""The unit tests that need no torch, on other Pythons: python tools/pythons.py [python3.13 /opt/bin/python3.14]

Without arguments: on each of python3.12, python3.13 and python3.14 that is found, on the path or among pyenv's. Each
gets an environment of its own, .venv-pythonX.Y, with what requirements.txt pins but torch, of which not every Python
has a build for processors alone. tests/unit/conftest.py skips what needs it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
USUAL = ("python3.12", "python3.13", "python3.14")
WHICH = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_path('purelib'), sep='\\n')"


def main(named: list[str]) -> int:
    """Test on each Python; 1 if tests fail on any, or if one that is named cannot be found."""
    if missing := [name for name in named if not _runs(name)]:
        print(f"There is no Python {missing[0]}.", file=sys.stderr)
        return 1
    found = named or [python for name in USUAL if (python := next(filter(_runs, _places(name)), None))]
    if not found:
        print(f"None present of {', '.join(USUAL)}: the unit tests run on the Python of `make test` alone.")
    failed = [python for python in found if not _passes(python)]
    return 1 if failed else 0


def _places(name: str) -> list[str]:
    """Where a Python may be: by its name, or among those of pyenv, which puts only chosen ones on the path."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [name, *sorted(map(str, root.glob(f"versions/*/bin/{name}")))]


def _runs(python: str) -> bool:
    """Whether there is such a Python; pyenv puts names on the path, too, that only say that it was not chosen."""
    return bool(shutil.which(python)) and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def _passes(python: str) -> bool:
    version = _which(python)[0]
    environment = ROOT / f".venv-python{version}"
    print(f"--- Python {version}: {python}", flush=True)
    inside = str(environment / "bin" / "python")
    _set_up(python, environment, inside)
    command = [inside, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "tests/unit"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"RANKREFINE_WITHOUT_TORCH": "1"}).returncode == 0


def _set_up(python: str, environment: Path, inside: str) -> None:
    """Make the environment, unless it is as requirements.txt wants it."""
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = re.sub(r"(?m)^(?:torch|playwright)==.*\n", "", pins)  # the tests of the workflow alone need a browser
    ready = environment / "ready"
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", str(environment)], check=True)
    quiet = ["install", "-qq", "--disable-pip-version-check"]
    # Debian's Pythons come without ensurepip, and our own pip may be older than that Python
    subprocess.run([sys.executable, "-m", "pip", *quiet, "--target", _which(inside)[1], "pip"], check=True)
    part = environment / "requirements.txt"
    part.write_text(wanted, encoding="utf-8")
    # without dependencies, for torch would be one; the pins name them all
    subprocess.run([inside, "-m", "pip", *quiet, "--no-deps", "-r", str(part)], check=True)
    ready.write_text(wanted, encoding="utf-8")


def _which(python: str) -> list[str]:
    """A Python's version (X.Y) and its folder of packages."""
    return subprocess.run([python, "-c", WHICH], capture_output=True, text=True, check=True).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
