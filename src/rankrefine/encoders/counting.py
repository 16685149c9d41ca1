"""Progress of an encoder, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from rankrefine.progress import Progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

COUNT = "{done} of {total} sentences"


@contextmanager
def counting(model: SentenceTransformer, name: str, total: int) -> Iterator[None]:
    """Show how many of `total` sentences the encoder has embedded; `name` says what for."""
    done = 0
    with Progress(name, total, COUNT) as progress:

        def count(module: Any, inputs: Any, output: dict[str, Any]) -> None:
            nonlocal done
            done += len(output["sentence_embedding"])
            progress.to(done)

        hook = model.register_forward_hook(count)
        try:
            yield
        finally:
            hook.remove()


def count_in_encode(model: SentenceTransformer, name: str) -> None:
    """Replace the encoder's method `encode` by one that shows its progress."""
    encode = model.encode

    @wraps(encode)
    def counted(inputs: list[str], *arguments: Any, **options: Any) -> Any:
        with counting(model, name, len(inputs)):
            return encode(inputs, *arguments, **options)

    model.encode = counted
