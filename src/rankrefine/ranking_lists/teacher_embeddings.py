"""Teacher embeddings on disk: one safetensors file for each teacher."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.ranking_lists.lists import Lists


def write(path: Path, embeddings: Tensor, lists: Lists, teacher: dict[str, Any]) -> None:
    """Write the embeddings [sentences, dim] of the concatenated `lists` and the `teacher` that they come from."""
    tensors = {"embeddings": embeddings.contiguous(), "sizes": torch.tensor(lists.sizes, dtype=torch.int64)}
    # a single key, since safetensors writes several in an order that differs between processes
    metadata = {"teacher": json.dumps(teacher | {"lists": lists.digest}, sort_keys=True)}
    with io.atomic(path) as temporary:
        save_file(tensors, temporary, metadata)


def read(path: Path, lists: Lists) -> tuple[list[Tensor], dict[str, Any]]:
    """Return the embeddings of each list, [sentences of the list, dim], and the teacher that they come from.

    Raises:
        UserError: the file is missing, damaged, or belongs to other lists.
    """
    try:
        with safe_open(path, framework="pt") as file:
            teacher = json.loads(file.metadata()["teacher"])
            embeddings, sizes = file.get_tensor("embeddings"), file.get_tensor("sizes").tolist()
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is corrupt or truncated ({error}); delete it and run again.") from error
    if len(sizes) != len(lists.ids) or len(embeddings) != sum(lists.sizes):
        raise UserError(
            f"{path} has {len(embeddings)} sentences in {len(sizes)} lists, but the ranking lists have "
            f"{sum(lists.sizes)} in {len(lists.ids)}; run teacher again."
        )
    if teacher.pop("lists", None) != lists.digest:
        raise UserError(f"{path} belongs to ranking lists with other sentences; run teacher again.")
    return list(embeddings.split(sizes)), teacher


def read_mixed(
    files: Sequence[Path], weights: Sequence[float], lists: Lists
) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """Read the files of several teachers: return their mixed embeddings of each list, and each teacher's record.

    Raises:
        UserError: the numbers of files and weights differ; or see `read`.
    """
    if len(files) != len(weights):
        raise UserError(f"The number of teacher embeddings ({len(files)}) and of weights ({len(weights)}) differ.")
    embeddings, teachers = zip(*(read(file, lists) for file in files), strict=True)
    weighted = [teacher | {"weight": weight} for teacher, weight in zip(teachers, weights, strict=True)]
    return mix(embeddings, weights), weighted


def mix(teachers: Sequence[list[Tensor]], weights: Sequence[float]) -> list[Tensor]:
    """Combine the normalised embeddings of several teachers; cosines become the weighted mean of theirs.

    Args:
        teachers: For each teacher the embeddings of each list, [sentences, dim of the teacher].
        weights: One for each teacher, with sum 1.

    Returns:
        For each list [sentences, sum of dims], normalised.
    """
    if len(teachers) == 1:
        return teachers[0]
    scaled = [[rows * weight**0.5 for rows in lists] for lists, weight in zip(teachers, weights, strict=True)]
    return [torch.cat(rows, dim=-1) for rows in zip(*scaled, strict=True)]


def digest(embeddings: Sequence[Tensor]) -> str:
    """SHA-256 of the embeddings of all lists, from memory."""
    hasher = hashlib.sha256()
    for rows in embeddings:
        hasher.update(rows.contiguous().numpy())
    return hasher.hexdigest()
