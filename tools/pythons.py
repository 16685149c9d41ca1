"""Run the unit tests that need no torch on other Pythons: python tools/pythons.py [python3.13 /opt/bin/python3.14]

Without arguments, the tests run on each of python3.12, python3.13 and python3.14 that is found on the path or among
pyenv's versions. Each gets an environment .venv-pythonX.Y with the packages of requirements.txt except torch, which
has no CPU-only build for some Pythons. tests/unit/conftest.py skips the tests that need torch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT = ("python3.12", "python3.13", "python3.14")
QUERY = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_path('purelib'), sep='\\n')"


def main(named: list[str]) -> int:
    """Run the tests on each Python; return 1 if tests fail on any of them or a named one is missing."""
    if missing := [name for name in named if not _runs(name)]:
        print(f"{missing[0]} is not a working Python.", file=sys.stderr)
        return 1
    found = named or [python for name in DEFAULT if (python := next(filter(_runs, _places(name)), None))]
    if not found:
        print(f"None of {', '.join(DEFAULT)} is installed; only the Python of `make test` is tested.")
    failed = [python for python in found if not _passes(python)]
    return 1 if failed else 0


def _places(name: str) -> list[str]:
    """Candidates for a Python: its name, and pyenv's versions, which are not all on the path."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [name, *sorted(map(str, root.glob(f"versions/*/bin/{name}")))]


def _runs(python: str) -> bool:
    """Return True if the Python starts; pyenv also puts names of inactive versions on the path, which fail."""
    return bool(shutil.which(python)) and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def _passes(python: str) -> bool:
    version = _query(python)[0]
    environment = ROOT / f".venv-python{version}"
    print(f"--- Python {version}: {python}", flush=True)
    inside = str(environment / "bin" / "python")
    _set_up(python, environment, inside)
    command = [inside, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "tests/unit"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"RANKREFINE_WITHOUT_TORCH": "1"}).returncode == 0


def _set_up(python: str, environment: Path, inside: str) -> None:
    """Create the environment unless it is up to date with requirements.txt."""
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.sub(r"(?m)^(?:torch|playwright)==.*\n", "", pins)  # only workflow tests need a browser
    ready = environment / "ready"
    if ready.is_file() and ready.read_text(encoding="utf-8") == pinned:
        return
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", str(environment)], check=True)
    quiet = ["install", "-qq", "--disable-pip-version-check"]
    # Debian's Pythons come without ensurepip, and our own pip may be older than that Python
    subprocess.run([sys.executable, "-m", "pip", *quiet, "--target", _query(inside)[1], "pip"], check=True)
    part = environment / "requirements.txt"
    part.write_text(pinned, encoding="utf-8")
    # without dependencies: torch would be one, and the pins list all others
    subprocess.run([inside, "-m", "pip", *quiet, "--no-deps", "-r", str(part)], check=True)
    ready.write_text(pinned, encoding="utf-8")


def _query(python: str) -> list[str]:
    """Version (X.Y) and package folder of a Python."""
    return subprocess.run([python, "-c", QUERY], capture_output=True, text=True, check=True).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
