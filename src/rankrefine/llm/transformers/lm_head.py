"""Language-model head that is spared where its logits are not looked at.

Guidance reads the logits of a negative prompt only for the tokens that are plausible given the prompt, a few dozen of
each row. The head is a fifth of the weights of a model of 135 M parameters.
"""

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
        self.full: int | None = (
            None  # number of leading rows whose logits the next call of `forward` returns; None for all
        )
        self._rest: Tensor | None = None  # hidden states of the others, for `of`

    def forward(self, hidden: Tensor) -> Tensor:
        """(1, rows, D) to (1, rows, V)."""
        if self.full is not None:
            hidden, self._rest = hidden[:, : self.full], hidden[0, self.full :]
            self.full = None
        return self.layer(hidden)

    def of(self, tokens: Tensor | None) -> Tensor:
        """Logits of the rows that `forward` left out, for `tokens` int64 [rows, n], or all if None: [rows, n or V]."""
        if tokens is None:
            return self.layer(self._rest)
        # one product for the tokens of all rows: many rows have the same ones
        used = torch.zeros(len(self.weight), dtype=torch.bool, device=tokens.device)
        used[tokens.flatten()] = True
        columns = used.nonzero().squeeze(1)
        bias = None if self.bias is None else self.bias[columns]
        logits = linear(self._rest, self.weight[columns], bias)
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
