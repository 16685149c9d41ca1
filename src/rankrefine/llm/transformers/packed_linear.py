"""Linear layers whose weights have the layout of the processor's matrix kernels (oneDNN), in bfloat16.

Otherwise oneDNN would reorder the weights at every call. In float32 torch calls MKL. oneDNN would be faster there for
few rows and for the head, but once memory had run out, it could create no kernel even for a single request.
"""

import torch
from transformers import PreTrainedModel


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
    """Replace the linear layers of a model for inference on the processor, if it is in bfloat16."""
    if model.dtype != torch.bfloat16:
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, PackedLinear(child))
