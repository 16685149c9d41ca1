"""The teacher's embeddings on disk: one safetensors file for all lists."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.ranking_lists.lists import Lists


def write(path: Path, embeddings: Tensor, lists: Lists, teacher: dict[str, str]) -> None:
    """Write `embeddings` [sentences, dim] of the flattened `lists`, and which teacher they come from."""
    tensors = {"embeddings": embeddings.contiguous(), "sizes": torch.tensor(lists.sizes, dtype=torch.int64)}
    # one key only: safetensors writes several in an order that changes from process to process
    made_of = json.dumps(teacher | {"lists": lists.digest}, sort_keys=True)
    with io.atomic(path) as aside:
        save_file(tensors, aside, metadata={"teacher": made_of})


def read(path: Path, lists: Lists) -> tuple[list[Tensor], dict[str, str]]:
    """The embeddings of each list [sentences of the list, dim], and the teacher's model and revision.

    Raises:
        UserError: no such file, damaged, or made for other lists.
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
            f"{path} holds {len(embeddings)} sentences in {len(sizes)} lists, but there are {sum(lists.sizes)} in "
            f"{len(lists.ids)} ranking lists; run teacher again on these lists."
        )
    if teacher.pop("lists", None) != lists.digest:
        raise UserError(f"{path} was made for other sentences than these ranking lists; run teacher again on them.")
    return list(embeddings.split(sizes)), teacher


def mix(teachers: list[list[Tensor]], weights: list[float]) -> list[Tensor]:
    """Embeddings of several teachers as one, whose cosines are the weighted mean of theirs.

    Args:
        teachers: for each teacher the normalised embeddings of each list, [sentences, its dim].
        weights: one each; they sum to 1.

    Returns:
        For each list [sentences, sum of dims], normalised.
    """
    scaled = [[rows * weight**0.5 for rows in lists] for lists, weight in zip(teachers, weights, strict=True)]
    return [torch.cat(rows, dim=-1) for rows in zip(*scaled, strict=True)]
