"""Linear layers whose weights have the layout of the processor's matrix kernels.

Otherwise oneDNN reorders the weights at every call, a fixed 10 ms per step for a model of 135 M parameters on two
cores: a third of a step with few rows, a thirtieth of one with many.
"""

import torch


class PackedLinear(torch.nn.Module):
    """Computes the same as the `torch.nn.Linear` it is made from, without gradients."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., features in) to (..., features out)."""
        return torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")


def pack(model: torch.nn.Module) -> None:
    """Replace the linear layers of a model for inference on the processor in bfloat16."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, PackedLinear(child))
