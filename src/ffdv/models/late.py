"""What several senses say of a clip → one opinion: a weighted sum of how far each lies from what it says of genuine clips.

Each sense's logit is measured in standard deviations of genuine clips that it was not trained on, 0 = as usual; a sense that is missing
says 0, which changes nothing. Log-odds against all fakes together would silence a sense that knows one rare kind: where 8 of 140 fakes
are wrong pairings, lips and sound seem to know nothing. For the same reason each kind of fake counts the same in the fit. Weights
are never negative: a sense that suspects may not acquit. The strongest suspicion counts once more, for a clip is forged when any of
its senses is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from ffdv.records import REAL, FloatArray, member_name

LARGEST = 6.0  # standard deviations that count of one sense
SMALLEST_SCALE = 1e-3
_PULL = 0.05  # towards equal weights: with forty clips they are the best guess
_STEPS = 200


class FusionSpec(BaseModel):
    """Which runs are put together.

    members: recipes, trained within this run on its training clips, or finished runs (their folders), taken as they are: a voice, say,
    that learnt from a corpus of sound. Recipes are named, or given as TOML files; member_settings: `table.key=value` for all recipes that
    have a use for it;
    fitting_share: of the training clips, whole groups, that the members are not taught: half of them choose the members' epochs, the
    others the weights; all do both where that would leave too few (training/late).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[str, ...] = ("voice", "faces-sbi", "motion-histogram", "sync")
    member_settings: tuple[str, ...] = ()
    fitting_share: float = Field(default=0.3, gt=0.0, lt=0.7)

    @field_validator("members")
    @classmethod
    def _at_least_two(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        names = {member_name(member) for member in members}
        if names & {"", ".", ".."}:
            raise ValueError(f"a member is named by its recipe or the folder of its run, got {', '.join(members)}")
        if len(names) != len(members) or len(members) < 2:
            raise ValueError(
                f"members must be two or more recipes or runs of different names, got {', '.join(members) or 'none'}"
            )
        return members


class LateNet(nn.Module):
    """Logits of each sense (rows, senses), NaN where it is missing → logits (rows, 2) real, fake."""

    def __init__(self, num_senses: int) -> None:
        super().__init__()
        self.num_senses = num_senses
        self.raw_weights = nn.Parameter(torch.full((num_senses + 1,), inverse_softplus(1.0 / num_senses)))
        self.bias = nn.Parameter(torch.zeros(()))
        self.register_buffer("centre", torch.zeros(num_senses))
        self.register_buffer("scale", torch.ones(num_senses))

    centre: Tensor
    scale: Tensor

    @property
    def weights(self) -> Tensor:
        """Of the senses, and last of the strongest suspicion (senses + 1,), all positive."""
        return functional.softplus(self.raw_weights)

    def learn_usual(self, logits: FloatArray) -> None:
        """Centre and scale from what the senses say of genuine clips (rows, senses); as they were for a sense of which fewer than two are known."""
        for sense, said in enumerate(np.asarray(logits, np.float64).T):
            known = said[np.isfinite(said)]
            if len(known) > 1:
                self.centre[sense] = float(known.mean())
                self.scale[sense] = max(float(known.std(ddof=1)), SMALLEST_SCALE)

    def forward(self, logits: Tensor, _lengths: Tensor | None = None) -> Tensor:
        """Logits (rows, 2), symmetric."""
        missing = torch.isnan(logits)
        known = ((logits - self.centre) / self.scale).clamp(-LARGEST, LARGEST)
        said = torch.where(missing, 0.0, known)
        strongest = torch.where(missing, -LARGEST, known).amax(1)
        strongest = torch.where(missing.all(1), 0.0, strongest)
        margin = said @ self.weights[:-1] + strongest * self.weights[-1] + self.bias
        return torch.stack([-margin / 2, margin / 2], dim=1)


def inverse_softplus(value: float) -> float:
    """What softplus makes `value` of."""
    return math.log(math.expm1(value))


def fit_late(
    net: LateNet, logits: FloatArray, labels: npt.NDArray[np.int64], kinds: Sequence[object] | None = None
) -> None:
    """What is usual, weights and bias, from clips (rows, senses) that no member was trained on. Weights and bias by maximum likelihood,
    pulled towards equal weights. Real and fake weigh the same, and so do the kinds of fake where they are told (rows).
    """
    net.learn_usual(logits[labels == REAL])
    given, wanted = torch.from_numpy(logits).float(), torch.from_numpy(labels).float()
    share = torch.from_numpy(_shares(labels, kinds)).float()
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        judged = net(given)
        margin = judged[:, 1] - judged[:, 0]
        cost = functional.binary_cross_entropy_with_logits(margin, wanted, weight=share, reduction="sum")
        cost = cost + _PULL * ((net.weights - 1.0 / net.num_senses) ** 2).sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]


def _shares(labels: npt.NDArray[np.int64], kinds: Sequence[object] | None) -> npt.NDArray[np.float64]:
    """What each clip (rows,) counts; the sum is 1."""
    group_of = [
        (int(label), None if kinds is None or label == REAL else kinds[row]) for row, label in enumerate(labels)
    ]
    sizes = Counter(group_of)
    groups = Counter(label for label, _ in sizes)
    return np.array([1.0 / (len(groups) * groups[group[0]] * sizes[group]) for group in group_of])
