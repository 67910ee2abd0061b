"""How far a clip lies from what training saw, as the net itself sees it: a distance between embeddings.

    embeddings of training clips ─▶ a centre for each class, one spread around both ─▶ EmbeddingRange
    embedding of a clip ─▶ deviations from the nearer centre ─▶ distance: 0 = the middle of held-out clips, 1 = what 99 % stay within

An embedding is what the last layer makes the logits of. Of a net on sound or faces only its direction counts (Mueller and Hein,
"Mahalanobis++", ICML 2025): silence and tones excite a net less than speech does, and so lie nearer to every centre than speech itself.
Of numbers that were measured and scaled (movement), and of tokens that were normalised (sound and face together), the length counts too:
by direction alone shuffled frames lay nearer than clips as they are, and flashing ones nearer than with it. The spread is that of probabilistic PCA (Tipping and Bishop, 1999): its widest directions one by one, one mean for all others, so that a few
hundred clips are enough and a net's unused directions count.
Nets of sound, of faces, of both and of movement have it. Lips and sound do not: their four measures are the verdict, and what lies far is
what does not belong together. Late fusion takes the largest of its members': far log-odds are only surer members (docs/decisions/0011).
Centres by class and a spread in common are those of Lee et al., "A simple unified framework for detecting out-of-distribution
samples", NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ffdv.errors import CheckpointError

MEASURE = "embedding_distance"  # its name in metrics/decision
EDGE = 0.99  # of held-out clips lie within distance 1
NARROWEST = 1e-3  # from the middle to the edge, as a share of the edge
AXES = 16
ROWS_PER_AXIS = 4  # fewer rows do not tell a direction's spread
FEWEST_ROWS = 32
# Directions in which training clips hardly differ (a ReLU that was never on) are this much of the mean spread at least.
LEAST_SPREAD = 1e-3


@runtime_checkable
class Embeds(Protocol):
    """A net that tells what its last layer makes the logits of; directed: whether only the direction of that counts."""

    directed: bool

    def embedded(self, samples: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (rows, 2), and what they are made of (rows, c)."""


class EmbeddingRange(nn.Module):
    """Embeddings (rows, c) → distances (rows,), see the module.

    centres (classes, c); axes (k, c), orthonormal; spread (k,): variance along each; rest: variance in any other direction;
    middle, edge: of held-out clips, in deviations; directed: whether embeddings are brought to length 1 first.
    """

    centres: Tensor
    axes: Tensor
    spread: Tensor
    rest: Tensor
    middle: Tensor
    edge: Tensor
    length_counts: Tensor

    def __init__(self, *, centres: Tensor, axes: Tensor, spread: Tensor, rest: Tensor, directed: bool = True) -> None:
        super().__init__()
        self.directed = directed
        self.register_buffer("length_counts", torch.tensor(float(not directed)))
        for name, value in {"centres": centres, "axes": axes, "spread": spread, "rest": rest}.items():
            self.register_buffer(name, value)
        self.register_buffer("middle", torch.tensor(0.0))
        self.register_buffer("edge", torch.tensor(1.0))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Distances (rows,)."""
        return (self.deviations(embeddings) - self.middle) / (self.edge - self.middle)

    def deviations(self, embeddings: Tensor) -> Tensor:
        """How many deviations from the nearer centre, (rows,)."""
        offsets = _compared(embeddings.float(), self.directed).unsqueeze(1) - self.centres  # (rows, classes, c)
        along = offsets @ self.axes.T  # (rows, classes, k)
        beside = (offsets.square().sum(2) - along.square().sum(2)).clamp(min=0.0)
        squares = (along.square() / self.spread).sum(2) + beside / self.rest
        return squares.amin(1).sqrt()

    def set_scale(self, distances: npt.ArrayLike) -> Self:
        """From a fresh range's distances (n,) of held-out clips, deviations until then: their middle is 0, EDGE of them lie within 1."""
        values = np.asarray(distances, np.float64)
        middle, edge = np.quantile(values, [0.5, EDGE], method="higher")
        if np.isfinite(edge) and edge > 0:
            self.edge.fill_(float(edge))
            self.middle.fill_(min(float(middle), (1.0 - NARROWEST) * float(edge)))
        return self

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> EmbeddingRange:
        """From its state_dict. Raises CheckpointError when it is none."""
        try:
            lengths = float(tensors.get("length_counts", torch.tensor(0.0)))  # runs of before know directions alone
            parts = {name: tensors[name].float() for name in ("centres", "axes", "spread", "rest")}
            found = cls(**parts, directed=not lengths)
            found.load_state_dict({"length_counts": torch.tensor(lengths), **tensors})
            fits = found.centres.shape[1] == found.axes.shape[1] and found.spread.shape == found.axes.shape[:1]
        except (KeyError, IndexError, RuntimeError):
            fits = False
        if not fits:
            raise CheckpointError("the range of embeddings that training saw is damaged; copy or train it again")
        return found


def _compared(embeddings: Tensor, directed: bool) -> Tensor:
    """Embeddings (rows, c) as they are compared."""
    return functional.normalize(embeddings, dim=1) if directed else embeddings


def fit_embedding_range(embeddings: Tensor, labels: Tensor, *, directed: bool = True) -> EmbeddingRange | None:
    """From training rows (n, c) with labels (n,) of {0, 1}; None with fewer than FEWEST_ROWS, or when they are all alike.

    directed: whether only the direction of an embedding counts, see the module.
    """
    values = _compared(embeddings.detach().double().cpu(), directed)
    rows, channels = values.shape
    if rows < FEWEST_ROWS or not bool(values.isfinite().all()):
        return None
    classes, owner = torch.unique(labels.cpu(), return_inverse=True)
    centres = torch.stack([values[owner == index].mean(0) for index in range(len(classes))])
    _, singular, axes = torch.linalg.svd(values - centres[owner], full_matrices=False)
    variances = singular.square() / (rows - len(classes))
    mean = float(variances.sum()) / channels
    if mean <= 0.0:
        return None
    kept = min(AXES, channels - 1, rows // ROWS_PER_AXIS)
    rest = variances[kept:].sum() / (channels - kept)
    floor = LEAST_SPREAD * mean
    return EmbeddingRange(
        centres=centres.float(),
        axes=axes[:kept].float().contiguous(),
        spread=variances[:kept].clamp(min=floor).float(),
        rest=rest.clamp(min=floor).float(),
        directed=directed,
    )
