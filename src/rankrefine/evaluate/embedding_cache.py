"""What an encoder has embedded already: each distinct text is encoded once per model, whichever task it is in.

Tasks share sentences (STS-B is drawn from STS12 to STS16, and Representation and EvalRank are made of it), and most
sets repeat some. The store is a folder per model and way of computing; a job reads the files of the tasks before it
and adds one of its own, so that jobs that run side by side need no lock: at worst both encode the same text.
"""

from __future__ import annotations

import hashlib
import json
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrefine import io
from rankrefine.assets.manifest import Manifest
from rankrefine.errors import UserError
from rankrefine.provenance import versions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

KEY = 16  # bytes of a text's hash
KEPT = 200_000  # texts of a task that are kept at most; larger corpora share nothing worth the disk
# arguments of `encode` that leave the vectors as they are
WITHOUT_EFFECT = ("batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "num_proc", "device")


class Memory:
    """Stands before an encoder's `encode`, for MTEB and for tasks of our own alike.

    Attributes:
        texts: SHA-256 over all texts that were asked for, in order: two models with the same one saw the same task.
        encoded: how many texts went through the encoder.
    """

    def __init__(self, encoder: SentenceTransformer, name: str, folder: Path | None = None) -> None:
        """Put the memory before `encoder.encode`.

        Args:
            encoder: The encoder, whose method `encode` is replaced.
            name: Of the file that `save` writes, usually the task's.
            folder: The model's store (see `store_of`), or None to keep nothing.
        """
        self._encode, self._name, self._folder = encoder.encode, name, folder
        self._vectors: dict[bytes, np.ndarray] = {}
        self._new: list[bytes] = []
        self._former: dict[bytes, np.ndarray] = {}  # of the file that `save` writes
        self._defaults = {name: given.default for name, given in signature(encoder.encode).parameters.items()}
        self._prompts, self._default_prompt = encoder.prompts or {}, encoder.default_prompt_name
        self._is_routed = any("Router" in type(module).__name__ for module in encoder)
        self._texts = hashlib.sha256()
        for file in sorted(folder.glob("*.safetensors")) if folder else ():
            self._vectors |= (read := _read(file))
            if file.stem == name:
                self._former = read
        encoder.encode = self.encode

    @property
    def texts(self) -> str:
        """See the class."""
        return self._texts.hexdigest()

    @property
    def encoded(self) -> int:
        """See the class."""
        return len(self._new)

    def encode(self, inputs: list[str], **settings: Any) -> np.ndarray | Tensor:
        """As the encoder's own `encode` for a list of texts; float32 `[texts, dim]` on the processor.

        Raises:
            UserError: the embeddings hold NaN or infinity.
        """
        salt = json.dumps(self._effective(settings), sort_keys=True)
        keys = [hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=KEY).digest() for text in inputs]
        self._texts.update("\0".join(inputs).encode() + b"\n")
        missing = {key: text for key, text in zip(keys, inputs, strict=True) if key not in self._vectors}
        if missing:
            asked = settings | {"convert_to_numpy": True, "convert_to_tensor": False}
            vectors = np.asarray(self._encode(list(missing.values()), **asked), dtype=np.float32)
            if not np.isfinite(vectors).all():
                row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
                text = list(missing.values())[row]
                raise UserError(f"The encoder gives an embedding with NaN or infinity for {text[:60]!r}.")
            self._vectors |= dict(zip(missing, vectors, strict=True))
            self._new += missing
        found = np.stack([self._vectors[key] for key in keys]) if keys else np.empty((0, 0), np.float32)
        if settings.get("convert_to_tensor"):
            import torch

            return torch.from_numpy(found)
        return found

    def _effective(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings that change vectors: the prompt's text, and what is not at its default.

        The side of a search (`task`) matters only to encoders with a router.
        """
        prompt = settings.get("prompt")
        if prompt is None:
            prompt = self._prompts.get(settings.get("prompt_name") or self._default_prompt) or ""
        without = (*WITHOUT_EFFECT, "prompt", "prompt_name", *(() if self._is_routed else ("task",)))
        named = {key: value for key, value in settings.items() if key not in without}
        changed = {key: value for key, value in named.items() if value not in (None, self._defaults.get(key))}
        return changed | {"prompt": prompt}

    def save(self) -> None:
        """Add what was encoded to the store."""
        if self._folder is None or not 0 < len(self._new) <= KEPT:
            return
        from safetensors.numpy import save_file

        kept = self._former | {key: self._vectors[key] for key in self._new}
        keys = np.frombuffer(b"".join(kept), dtype=np.uint8).reshape(-1, KEY)
        tensors = {"keys": keys, "embeddings": np.stack(list(kept.values()))}
        with io.atomic(self._folder / f"{self._name}.safetensors") as aside:
            save_file(tensors, aside)


def store_of(folder: Path, manifest: Manifest, settings: dict[str, Any], device: str, code: list[str]) -> Path:
    """The store of a model below `folder`: another model, pooling, device, code or library version has another."""
    used = versions("sentence-transformers", "transformers", "tokenizers", "torch")
    made_by = json.dumps([manifest.files, settings, device.partition(":")[0], used, code], sort_keys=True)
    return folder / hashlib.sha256(made_by.encode()).hexdigest()[:16]


def _read(file: Path) -> dict[bytes, np.ndarray]:
    """What a file holds; one that is damaged is removed, because all of it can be made again."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
        return dict(zip(map(bytes, tensors["keys"]), tensors["embeddings"], strict=True))
    except FileNotFoundError:  # another job has just written it anew
        return {}
    except (SafetensorError, KeyError, ValueError):
        file.unlink(missing_ok=True)
        return {}
