"""Linear layers whose weights have the layout of the processor's matrix kernels (oneDNN).

In bfloat16 oneDNN would otherwise reorder the weights at every call. In float32 torch would call MKL, which is slower
for few rows (by half at 32) and for the head, and no faster for many. The layout is not chosen by a measurement: both
round differently, and the same seed must give the same bytes.
"""

import torch
from transformers import PreTrainedModel

DTYPES = {torch.bfloat16, torch.float32}


class PackedLinear(torch.nn.Module):
    """Computes the same as the `torch.nn.Linear` it is made from, without gradients."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., features in) to (..., features out)."""
        return torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")


def pack(model: PreTrainedModel) -> None:
    """Replace the linear layers of a model for inference on the processor, in a dtype for which torch has oneDNN's."""
    if model.dtype not in DTYPES or not torch.backends.mkldnn.is_available():
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, PackedLinear(child))
