"""What several senses say of a clip → one opinion: a weighted sum of their log-odds, whichever of them are there.

Each sense's logit comes calibrated, so that 0 means undecided; a sense that is missing says 0, which changes nothing. Weights
are never negative: a sense that suspects may not acquit. The strongest suspicion counts once more, for a clip is forged when
any of its senses is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from ffdv.records import FloatArray

LARGEST_LOGIT = 6.0  # of one sense: no sense is surer than 0.9975 of anything
_PULL = 0.05  # towards equal weights: with forty clips they are the best guess
_STEPS = 200


class FusionSpec(BaseModel):
    """Which runs are put together.

    members: recipes by name, trained within this run on its training clips; member_settings: `table.key=value` for all of them;
    fitting_share: of the training clips, whole groups, that the members never see and the weights are fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[str, ...] = ("voice", "faces-efficientnet", "motion-histogram", "sync")
    member_settings: tuple[str, ...] = ()
    fitting_share: float = Field(default=0.3, gt=0.0, lt=0.7)

    @field_validator("members")
    @classmethod
    def _at_least_two(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(members)) != len(members) or len(members) < 2:
            raise ValueError(f"members must be two or more different recipes, got {', '.join(members) or 'none'}")
        return members


class LateNet(nn.Module):
    """Log-odds of each sense (rows, senses), NaN where it is missing → logits (rows, 2) real, fake."""

    def __init__(self, num_senses: int) -> None:
        super().__init__()
        self.num_senses = num_senses
        self.raw_weights = nn.Parameter(torch.full((num_senses + 1,), inverse_softplus(1.0 / num_senses)))
        self.bias = nn.Parameter(torch.zeros(()))

    @property
    def weights(self) -> Tensor:
        """Of the senses, and last of the strongest suspicion (senses + 1,), all positive."""
        return functional.softplus(self.raw_weights)

    def forward(self, log_odds: Tensor, _lengths: Tensor | None = None) -> Tensor:
        """Logits (rows, 2), symmetric."""
        known = log_odds.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        missing = torch.isnan(log_odds)
        said = torch.where(missing, 0.0, known)
        strongest = torch.where(missing, -LARGEST_LOGIT, known).amax(1)
        strongest = torch.where(missing.all(1), 0.0, strongest)
        margin = said @ self.weights[:-1] + strongest * self.weights[-1] + self.bias
        return torch.stack([-margin / 2, margin / 2], dim=1)


def inverse_softplus(value: float) -> float:
    """What softplus makes `value` of."""
    return math.log(math.expm1(value))


def fit_late(net: LateNet, log_odds: FloatArray, labels: npt.NDArray[np.int64]) -> None:
    """Weights and bias by maximum likelihood on clips (rows, senses) that no member was trained on, classes weighing the same;
    pulled towards equal weights.
    """
    given, wanted = torch.from_numpy(log_odds).float(), torch.from_numpy(labels).float()
    counts = np.bincount(labels, minlength=2)
    share = torch.from_numpy(1.0 / (2 * np.maximum(counts, 1)[labels])).float()
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = net(given)
        margin = logits[:, 1] - logits[:, 0]
        cost = functional.binary_cross_entropy_with_logits(margin, wanted, weight=share, reduction="sum")
        cost = cost + _PULL * ((net.weights - 1.0 / net.num_senses) ** 2).sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
