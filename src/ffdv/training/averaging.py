"""Exponential moving average of the weights: what is validated and shipped when a recipe asks for it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

_WARM_UP_STEPS = 10  # of (1 + n) / (10 + n): the average of a short run must not be the random start


class WeightAverage:
    """A second copy of a net that trails the first: average += (1 - decay) (weights - average) after every step.

    The decay rises as (1 + n) / (10 + n) towards its value. Buffers (running statistics) are copied, not averaged:
    they are averages already.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(requires_grad=False)
        self.decay = decay
        self.num_updates = 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards `net`, which has the same parameters under the same names."""
        decay = min(self.decay, (1 + self.num_updates) / (_WARM_UP_STEPS + self.num_updates))
        self.num_updates += 1
        for average, weights in zip(self.net.parameters(), net.parameters(), strict=True):
            average.lerp_(weights, 1.0 - decay)
        for kept, buffer in zip(self.net.buffers(), net.buffers(), strict=True):
            kept.copy_(buffer)

    def tensors(self) -> dict[str, Tensor]:
        """All that must be saved, by name; `num_updates` beside it."""
        return dict(self.net.state_dict())
