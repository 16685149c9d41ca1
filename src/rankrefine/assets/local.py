"""Checks of local models and data sets."""

import json
from pathlib import Path

from rankrefine.assets.manifest import visible
from rankrefine.errors import UserError

# data files in a repository on the hub
TABLES = (".parquet", ".json", ".jsonl", ".csv", ".tsv", ".gz", ".zst", ".arrow")
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


def check(path: Path, kind: str) -> None:
    """Check a local source.

    Raises:
        UserError: `path` contains no model that can be opened safely, or no data.
    """
    if kind == "model":
        check_model(path, str(path))
    elif not visible(path):
        raise UserError(f"{path} is an empty folder; a data set must have one parquet file per split.")
    elif path.is_dir() and not any(file.suffix == ".parquet" for file in path.iterdir()):
        if (path / "README.md").is_file() and any(file.suffix in TABLES for file in visible(path)):
            return  # copy of a repository on the hub, for an evaluation task
        raise UserError(f"{path} has no parquet files; a data set must have one per split, such as train.parquet.")


def check_model(folder: Path, name: str) -> None:
    """Check that `folder` is a transformers or sentence-transformers model without pickled weights.

    Raises:
        UserError: it is not; the message calls it `name`.
    """
    if not folder.is_dir():
        raise UserError(f"{name} is a file; a model must be a folder with config.json or modules.json.")
    if not any((folder / file).is_file() for file in ("config.json", "modules.json")):
        raise UserError(f"{name} is not a sentence-transformers or transformers model: it has no config.json.")
    files = visible(folder)
    tensors = [file for file in files if file.suffix == ".safetensors"]
    if not tensors and not any(file.suffix == ".gguf" for file in files):
        if pickles := [file.name for file in files if file.suffix in PICKLES]:
            raise _pickled(name, pickles[0])
        raise UserError(f"{name} has no weights (.safetensors or .gguf).")
    for module in _modules(folder):
        # sentence-transformers falls back to this file, module by module
        weights = folder / module / "pytorch_model.bin"
        if weights.is_file() and not any(weights.parent.glob("*.safetensors")):
            raise _pickled(name, f"{module}/{weights.name}")
    for file in tensors:
        _check_tensors(file)


def _modules(folder: Path) -> list[str]:
    """Return the module folders of a sentence-transformers model; none if the list is damaged, a later error."""
    try:
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        return [module["path"] for module in modules if module["path"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _pickled(name: str, file: str) -> UserError:
    return UserError(
        f"{name} has its weights only as a pickle ({file}), which can run code when it is loaded; save the model as "
        "safetensors."
    )


def _check_tensors(file: Path) -> None:
    """Check the header of a safetensors file, so that a truncated download fails here and not later in the run."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except SafetensorError as error:
        raise UserError(f"{file} is corrupt, truncated or a Git LFS pointer ({error}); download it again.") from error
