"""Embedding cache: each distinct text is encoded once per model and shared across tasks.

Tasks share sentences (STS-B is drawn from STS12 to STS16, and Representation and EvalRank use it), and most data sets
repeat some. The cache has a folder for each model, library versions and settings. A job reads the files of earlier
tasks and adds one of its own, so concurrent jobs need no lock: at worst both encode the same text.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrefine import io
from rankrefine.assets.manifest import Manifest
from rankrefine.errors import UserError
from rankrefine.locks import InUse
from rankrefine.provenance import versions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

KEY = 16  # bytes of a text's hash
MAX_TEXTS = 200_000  # larger corpora are not cached: they share little with other tasks
# arguments of `encode` that do not change the embeddings
WITHOUT_EFFECT = {"batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "num_proc", "device"}


class EmbeddingCache:
    """Cache in front of an encoder's `encode`, which serves MTEB's tasks and our own."""

    def __init__(self, encoder: SentenceTransformer, name: str, folder: Path | None = None) -> None:
        """Replace the method `encode` of the encoder.

        Args:
            encoder: The encoder.
            name: Name of the file that `save` writes, usually the task's.
            folder: Cache folder of the model (see `cache_folder`), or None for a cache in memory alone.
        """
        self._encode, self._file = encoder.encode, folder and folder / f"{name}.safetensors"
        self._vectors: dict[bytes, np.ndarray] = {}
        self._new: list[bytes] = []
        self._saved: dict[bytes, np.ndarray] = {}  # content of the file that `save` replaces
        self._defaults = {key: parameter.default for key, parameter in signature(encoder.encode).parameters.items()}
        self._prompts, self._default_prompt = encoder.prompts or {}, encoder.default_prompt_name
        # the query or document side of a search matters only to encoders with a router
        is_routed = any("Router" in type(module).__name__ for module in encoder)
        self._ignored = WITHOUT_EFFECT | {"prompt", "prompt_name"} | (set() if is_routed else {"task"})
        self._texts = hashlib.sha256()
        for file in sorted(folder.glob("*.safetensors")) if folder else ():
            self._vectors |= (vectors := _read(file))
            if file == self._file:
                self._saved = vectors
        encoder.encode = self.encode

    @property
    def texts(self) -> str:
        """SHA-256 of all texts requested so far, in order: equal for two models that were given the same task."""
        return self._texts.hexdigest()

    @property
    def encoded(self) -> int:
        """Number of texts that the encoder has encoded."""
        return len(self._new)

    def encode(self, inputs: list[str], **options: Any) -> np.ndarray | Tensor:
        """Return the embeddings of a list of texts, float32 `[texts, dim]` on the CPU; options as for the encoder.

        Raises:
            UserError: the embeddings contain NaN or infinity.
        """
        salt = json.dumps(self._effective(options), sort_keys=True)
        keys = [hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=KEY).digest() for text in inputs]
        self._texts.update("\0".join(inputs).encode() + b"\n")
        missing = {key: text for key, text in zip(keys, inputs, strict=True) if key not in self._vectors}
        if missing:
            as_array = options | {"convert_to_numpy": True, "convert_to_tensor": False}
            vectors = np.asarray(self._encode(list(missing.values()), **as_array), dtype=np.float32)
            for text, is_finite in zip(missing.values(), np.isfinite(vectors).all(axis=1), strict=True):
                if not is_finite:
                    message = f"The embedding of {text[:60]!r} contains NaN or infinity; check the encoder's weights."
                    raise UserError(message)
            self._vectors |= dict(zip(missing, vectors, strict=True))
            self._new += missing
        embeddings = np.stack([self._vectors[key] for key in keys]) if keys else np.empty((0, 0), np.float32)
        if options.get("convert_to_tensor"):
            import torch

            return torch.from_numpy(embeddings)
        return embeddings

    def _effective(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options that change embeddings: the text of the prompt, and values other than the defaults."""
        prompt = options.get("prompt")
        if prompt is None:
            prompt = self._prompts.get(options.get("prompt_name") or self._default_prompt) or ""
        effective = {key: value for key, value in options.items() if key not in self._ignored}
        changed = {key: value for key, value in effective.items() if value not in (None, self._defaults.get(key))}
        return changed | {"prompt": prompt}

    def save(self) -> None:
        """Write the new embeddings to the cache folder."""
        if self._file is None or not 0 < len(self._new) <= MAX_TEXTS:
            return
        from safetensors.numpy import save_file

        vectors = self._saved | {key: self._vectors[key] for key in self._new}
        keys = np.frombuffer(b"".join(vectors), dtype=np.uint8).reshape(-1, KEY)
        # if a job of the same model under another name is saving the same texts, its file will do
        with suppress(InUse), io.atomic(self._file) as temporary:
            save_file({"keys": keys, "embeddings": np.stack(list(vectors.values()))}, temporary)


def cache_folder(folder: Path, manifest: Manifest, settings: dict[str, Any], device: str, code: list[str]) -> Path:
    """Return the subfolder for a model's embeddings; it depends on settings, device type, code and versions."""
    libraries = versions("sentence-transformers", "transformers", "tokenizers", "torch")
    inputs = [manifest.files, settings, device.partition(":")[0], libraries, code]
    return folder / hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _read(file: Path) -> dict[bytes, np.ndarray]:
    """Read a cache file; remove it if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
        return dict(zip(map(bytes, tensors["keys"]), tensors["embeddings"], strict=True))
    except FileNotFoundError:  # another job is replacing it
        return {}
    except (SafetensorError, KeyError, ValueError):
        file.unlink(missing_ok=True)
        return {}
