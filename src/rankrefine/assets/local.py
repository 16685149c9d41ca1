"""Checks on a model or data set folder, before any stage spends time on it."""

from __future__ import annotations

import json
from pathlib import Path

from rankrefine.assets.manifest import visible
from rankrefine.errors import UserError

TABLES = (".parquet", ".json", ".jsonl", ".csv", ".tsv", ".gz", ".zst", ".arrow")  # of a data repository on the hub
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


def check(path: Path, kind: str) -> None:
    """Check a local source.

    Raises:
        UserError: `path` holds no model that can be opened safely, or no data.
    """
    if kind == "model":
        check_model(path, str(path))
    elif not visible(path):
        raise UserError(f"{path} is an empty folder; a data set has one parquet file per split.")
    elif path.is_dir() and not any(file.suffix == ".parquet" for file in path.iterdir()):
        if (path / "README.md").is_file() and any(file.suffix in TABLES for file in visible(path)):
            return  # a repository of the hub as it is, for an evaluation task
        raise UserError(f"{path} holds no parquet file; a data set folder has one per split, such as train.parquet.")


def check_model(folder: Path, name: str) -> None:
    """Check that `folder` holds a transformers or sentence-transformers model with weights that are no pickles.

    Raises:
        UserError: one sentence that begins with `name`.
    """
    if not folder.is_dir():
        raise UserError(f"{name} is a file; a model is a folder with config.json or modules.json.")
    if not any((folder / file).is_file() for file in ("config.json", "modules.json")):
        raise UserError(f"{name} is no sentence-transformers or transformers model: it has no config.json.")
    files = visible(folder)
    tensors = [file for file in files if file.suffix == ".safetensors"]
    if not tensors and not any(file.suffix == ".gguf" for file in files):
        if pickles := [file.name for file in files if file.suffix in PICKLES]:
            raise _pickled(name, pickles[0])
        raise UserError(f"{name} holds no weights: neither .safetensors nor .gguf.")
    for place in _modules(folder):
        # sentence-transformers falls back to this file, module by module
        weights = folder / place / "pytorch_model.bin"
        if weights.is_file() and not any(weights.parent.glob("*.safetensors")):
            raise _pickled(name, f"{place}/{weights.name}")
    for file in tensors:
        _check_tensors(file)


def _modules(folder: Path) -> list[str]:
    """Folders of the modules of a sentence-transformers model; a damaged list is left to who opens the model."""
    try:
        return [
            module["path"] for module in json.loads((folder / "modules.json").read_text("utf-8")) if module["path"]
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _pickled(name: str, file: str) -> UserError:
    return UserError(
        f"{name} has its weights only as a pickle ({file}), which may run code when it is opened; save the model as "
        "safetensors first."
    )


def _check_tensors(file: Path) -> None:
    """A cut download or a Git LFS pointer fails here, not in the middle of a run."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except SafetensorError as error:
        raise UserError(f"{file} is corrupt, truncated or a Git LFS pointer ({error}); fetch it again.") from error
