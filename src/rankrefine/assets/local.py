"""Checks of local models and data sets."""

import json
from pathlib import Path

from rankrefine import io
from rankrefine.data_files import splits
from rankrefine.errors import UserError

PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


def check(path: Path, kind: str) -> None:
    """Check a local source.

    Raises:
        UserError: `path` contains no model that can be opened safely, or no data.
    """
    if kind == "model":
        check_model(path, str(path))
    elif not splits.data_files(path):
        known = ", ".join(splits.EXTENSIONS)
        raise UserError(f"{path} has no data files ({known}); a data set must have one for each split.")


def check_model(folder: Path, name: str) -> None:
    """Check that `folder` is a transformers or sentence-transformers model without pickled weights.

    Raises:
        UserError: it is not; the message calls it `name`.
    """
    if not folder.is_dir():
        raise UserError(f"{name} is a file; a model must be a folder with config.json or modules.json.")
    if not any((folder / file).is_file() for file in ("config.json", "modules.json")):
        raise UserError(f"{name} is not a sentence-transformers or transformers model: it has no config.json.")
    files = io.visible(folder)
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
