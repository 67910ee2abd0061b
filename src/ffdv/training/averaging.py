"""Two running averages: of the weights, kept when a recipe asks for it, and of what batch norms see, started rightly."""

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


class NormStart:
    """Lets batch norms average their first batches plainly: the nth counts 1 / n, until that is their own momentum.

    By themselves they start at mean 0 and variance 1 and forget that at 0.1 (EfficientNet: 0.01) a batch, so a net that saw
    few batches is judged with statistics that are not its own: on 36 clips it ranked them backwards for 8 epochs of 5
    batches, with this it was right from the first (docs/log.md).
    """

    def __init__(self, net: nn.Module) -> None:
        norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 -- torch has no public name for all of them
        self._own = [(norm, norm.momentum) for norm in norms if norm.momentum is not None]

    def before_batch(self, batches_seen: int) -> None:
        """Set every momentum for the batch that follows so many."""
        for norm, own in self._own:
            norm.momentum = max(own, 1.0 / (batches_seen + 1))
