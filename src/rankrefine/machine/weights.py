"""Number of weights with which a model multiplies each token, from its files or, before they are fetched, a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rankrefine import sources
from rankrefine.assets.manifest import load_manifest
from rankrefine.config import views
from rankrefine.errors import UserError

EMBEDDED = {  # without and with the language model's head; `count` of the files
    "smollm2-135m-instruct": (106_168_320, 134_479_872),
    "all-minilm-l6-v2": (10_764_288, 10_764_288),
}


def language_model(config: dict[str, Any]) -> int | None:
    """Return the weights of `generate.model` with its head, or None if they are unknown."""
    return _known(config["generate"]["model"], has_head=True)


def encoders(config: dict[str, Any]) -> dict[str, int]:
    """Return the weights of the encoders for which they are known, by their sources."""
    others = [source for _, _, source, _, _ in views.other_encoders(config)]
    named = [config["base"]["model"], *views.all_teachers(config), *others]
    found = {source: _known(source, has_head=False) for source in named if source != "base"}
    return {source: number for source, number in found.items() if number}


def count(folder: Path, has_head: bool) -> int:
    """Return the number of weights of the matrices in a model's safetensors files.

    Looking up embeddings takes no product, but the head of a language model is one; often it is the same matrix.
    """
    sizes = dict(_matrices(folder))
    total = sum(size for name, size in sizes.items() if "embed" not in name and "lm_head" not in name)
    heads = [size for name, size in sizes.items() if "lm_head" in name]
    embeddings = [size for name, size in sizes.items() if "embed" in name]
    return total + (max(heads or embeddings, default=0) if has_head else 0)


def _matrices(folder: Path) -> Iterator[tuple[str, int]]:
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118, not a dictionary
                shape = tensors.get_slice(name).get_shape()
                if len(shape) == 2:
                    yield f"{file.parent.name}/{name}", shape[0] * shape[1]


def _known(text: str, has_head: bool) -> int | None:
    """Return the number of weights of a source, or None if its files are not here."""
    try:
        source = sources.parse(text, "model", "model")
        manifest = Path(f"results/assets/{source.slug}.json")
        folder = Path(text) if source.form == "local" else load_manifest(manifest).path if manifest.exists() else None
        if folder is None:
            return EMBEDDED[source.name][has_head] if source.form == "embedded" else None
        return count(folder, has_head) or None
    except (UserError, SafetensorError, OSError):  # the run itself will say so
        return None
