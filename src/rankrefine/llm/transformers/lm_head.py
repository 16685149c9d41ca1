"""Language-model head that is spared where its logits are not looked at.

Guidance reads the logits of a negative prompt only for the tokens that are plausible given the prompt, a few dozen of
each row. The head is a fifth of the weights of a model of 135 M parameters.
"""

import threading
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel


class Head(torch.nn.Module):
    """Wraps the head of a model, with weights (V, D)."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.layer, self.weight, self.bias = layer, layer.weight, layer.bias
        self._of_thread = threading.local()  # engines in several threads share a model

    def spare(self, full: int | None) -> None:
        """Let the next call return the logits of the first `full` rows alone; None for all."""
        self._of_thread.full = full

    def forward(self, hidden: Tensor) -> Tensor:
        """(1, rows, D) to (1, rows, V)."""
        full = getattr(self._of_thread, "full", None)
        if full is not None:
            hidden, self._of_thread.rest = hidden[:, :full], hidden[0, full:]  # for `of`
            self._of_thread.full = None
        return self.layer(hidden)

    def of(self, tokens: Tensor | None) -> Tensor:
        """Logits of the rows that `forward` left out, for `tokens` int64 [rows, n], or all if None: [rows, n or V]."""
        rest = self._of_thread.rest
        if tokens is None:
            return self.layer(rest)
        # one product for the tokens of all rows: many rows have the same ones
        used = torch.zeros(len(self.weight), dtype=torch.bool, device=tokens.device)
        used[tokens.flatten()] = True
        columns = used.nonzero().squeeze(1)
        bias = None if self.bias is None else self.bias[columns]
        logits = linear(rest, self.weight[columns], bias)
        return logits.gather(1, (used.cumsum(0) - 1)[tokens])


def install(model: PreTrainedModel) -> None:
    """Put a `Head` around the head of `model`, if it is a linear layer. To be called before weights are packed."""
    layer = model.get_output_embeddings()
    if type(layer) is torch.nn.Linear:
        model.set_output_embeddings(Head(layer))


def find(model: PreTrainedModel, run: Callable[[], Tensor]) -> Head | None:
    """Return the model's `Head`; None if there is none, or if the model changes its logits, by a scale or a cap.

    `run` returns the logits of a forward pass, [rows, V].
    """
    head = model.get_output_embeddings()
    if not isinstance(head, Head):
        return None
    own: list[Tensor] = []
    hook = head.register_forward_hook(lambda *passed: own.append(passed[2].clone()))
    logits = run()
    hook.remove()
    return head if torch.equal(own[0][0], logits) else None
