"""Vectors of numbers → logits, by light classifiers: logistic regression, boosted trees, a small net.

The first two are fitted by scikit-learn and then held as plain tensors, so that a run is saved without pickle, exported and
detected with like any net. A number that could not be measured counts as the training clips' median.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ffdv.records import FloatArray

LARGEST_DEVIATION = 4.0  # standard deviations: one odd clip must not decide by one number
_SMALLEST_SPREAD = 1e-6
_FOLDS = 4


class MotionSpec(BaseModel):
    """Which classifier judges the vectors.

    classifier: `logistic` (L2, its strength by cross-validation over whole groups), `boosting` (trees), or `net` (one hidden
    layer, trained by the loop). trees, depth, shrinkage: of the boosting; hidden, dropout: of the net.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier: Literal["logistic", "boosting", "net"] = "logistic"
    trees: int = Field(default=100, ge=1, le=2000)
    depth: int = Field(default=2, ge=1, le=6)
    shrinkage: float = Field(default=0.05, gt=0, le=1)
    hidden: int = Field(default=32, ge=1, le=1024)
    dropout: float = Field(default=0.3, ge=0, lt=1)


def build_motion(spec: MotionSpec, num_features: int) -> VectorNet:
    """The classifier, unfitted."""
    judges: dict[str, nn.Module] = {
        "logistic": LinearJudge(num_features),
        "boosting": TreesJudge(spec.trees, spec.depth),
        "net": SmallNet(num_features, spec.hidden, spec.dropout),
    }
    return VectorNet(num_features, judges[spec.classifier])


class VectorNet(nn.Module):
    """Vectors (rows, n) with NaN where nothing is known → logits (rows, 2) real, fake; scaled by what the training clips were."""

    median: Tensor
    spread: Tensor
    directed = False  # the scaled numbers lie far from the middle where the clip is unlike (models/embedding)

    def __init__(self, num_features: int, judge: nn.Module) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(num_features))
        self.register_buffer("spread", torch.ones(num_features))
        self.judge = judge

    def forward(self, vectors: Tensor, _lengths: Tensor | None = None) -> Tensor:
        """Logits (rows, 2), symmetric: their difference is the log-odds of fake."""
        return self.embedded(vectors)[0]

    def embedded(self, vectors: Tensor, _lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (rows, 2), and the scaled numbers that they are made of (rows, n)."""
        scaled = self.scaled(vectors)
        margin = self.judge(scaled).squeeze(1)
        return torch.stack([-margin / 2, margin / 2], dim=1), scaled

    def scaled(self, vectors: Tensor) -> Tensor:
        """Numbers as deviations from the training clips' median, at most LARGEST_DEVIATION; 0 for what is not known."""
        values = (vectors - self.median) / self.spread
        return torch.where(torch.isnan(values), 0.0, values).clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)

    def fit_scale(self, vectors: FloatArray) -> None:
        """Take median and spread (half the distance of the 16th and 84th percentile) of training vectors (rows, n)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a number that no clip has
            low, middle, high = np.nanpercentile(vectors.astype(np.float64), [16, 50, 84], axis=0)
        spread = np.where((high - low) / 2 > _SMALLEST_SPREAD, (high - low) / 2, np.inf)
        self.median.copy_(torch.from_numpy(np.nan_to_num(middle)).float())
        # A number that does not vary says nothing: divided by infinity it is always 0.
        self.spread.copy_(torch.from_numpy(np.where(np.isnan(spread), np.inf, spread)).float())


class LinearJudge(nn.Module):
    """Scaled vectors (rows, n) → (rows, 1), weights of a logistic regression."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Log-odds (rows, 1)."""
        log_odds: Tensor = self.linear(vectors)
        return log_odds


class TreesJudge(nn.Module):
    """Scaled vectors (rows, n) → (rows, 1): a sum of small trees, held as complete binary trees of one depth.

    feature, threshold (trees, 2^depth - 1) of the inner nodes in heap order; leaf (trees, 2^depth); a value up to the threshold
    goes left. A node that scikit-learn did not split sends everything left.
    """

    feature: Tensor
    threshold: Tensor
    start: Tensor

    def __init__(self, trees: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.register_buffer("feature", torch.zeros(trees, 2**depth - 1, dtype=torch.int64))
        self.register_buffer("threshold", torch.full((trees, 2**depth - 1), torch.inf))
        self.leaf = nn.Parameter(torch.zeros(trees, 2**depth))
        self.register_buffer("start", torch.zeros(()))

    def forward(self, vectors: Tensor) -> Tensor:
        """Log-odds (rows, 1)."""
        trees = self.feature.shape[0]
        node = torch.zeros(vectors.shape[0], trees, dtype=torch.int64, device=vectors.device)
        places = torch.arange(trees, device=vectors.device).unsqueeze(0)
        for _ in range(self.depth):
            value = vectors.gather(1, self.feature[places, node])
            node = 2 * node + 1 + (value > self.threshold[places, node]).long()
        leaves = self.leaf[places, node - (2**self.depth - 1)]
        return self.start + leaves.sum(1, keepdim=True)


class SmallNet(nn.Module):
    """Scaled vectors (rows, n) → (rows, 1) through one hidden layer."""

    def __init__(self, num_features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(num_features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Log-odds (rows, 1)."""
        log_odds: Tensor = self.layers(vectors)
        return log_odds


def fit_vectors(
    net: VectorNet,
    vectors: FloatArray,
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    *,
    spec: MotionSpec,
    seed: int = 0,
) -> None:
    """Fit scale and classifier to training vectors (rows, n) with labels (rows,) of {0, 1}; classes weigh the same.

    groups (rows,): clips that belong together stay on one side when the logistic regression's strength is chosen. A `net` only
    gets its scale here.
    """
    net.fit_scale(vectors)
    with torch.inference_mode():
        scaled = net.scaled(torch.from_numpy(vectors)).numpy()
    if isinstance(net.judge, LinearJudge):
        _fit_linear(net.judge, scaled, labels, groups, seed=seed)
    elif isinstance(net.judge, TreesJudge):
        _fit_trees(net.judge, scaled, labels, spec=spec, seed=seed)


def _fit_linear(
    judge: LinearJudge,
    scaled: FloatArray,
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    *,
    seed: int,
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

    model: Any = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    folds = min(_FOLDS, *(len(np.unique(groups[labels == label])) for label in (0, 1)))
    if folds > 1:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        model = GridSearchCV(model, {"C": [1e-4, 1e-3, 1e-2, 1e-1]}, scoring="neg_log_loss", cv=splitter)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # a fold without one of the classes has no score and is passed over
        model.fit(scaled, labels, **({"groups": groups} if folds > 1 else {}))
    fitted = model.best_estimator_ if folds > 1 else model
    with torch.no_grad():
        judge.linear.weight.copy_(torch.from_numpy(fitted.coef_).float())
        judge.linear.bias.copy_(torch.from_numpy(fitted.intercept_).float())


def _fit_trees(
    judge: TreesJudge, scaled: FloatArray, labels: npt.NDArray[np.int64], *, spec: MotionSpec, seed: int
) -> None:
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(
        n_estimators=spec.trees,
        max_depth=spec.depth,
        learning_rate=spec.shrinkage,
        subsample=0.7,
        max_features="sqrt",
        random_state=seed,
    )
    counts = np.bincount(labels, minlength=2)
    weights = len(labels) / (2 * counts[labels])
    model.fit(scaled, labels, sample_weight=weights)
    share = float(weights[labels == 1].sum() / weights.sum())
    judge.start.fill_(float(np.log(share / (1 - share))))
    with torch.no_grad():
        for number, (tree,) in enumerate(model.estimators_):
            _copy_tree(judge, number, tree.tree_, shrinkage=spec.shrinkage)


def _copy_tree(judge: TreesJudge, number: int, tree: Any, *, shrinkage: float) -> None:
    """A fitted tree into the heap; below a leaf of it everything goes left and ends in the leaf's value."""
    inner = 2**judge.depth - 1
    places = [(0, 0)]  # (place in the heap, node of the tree)
    while places:
        place, node = places.pop()
        leaf = tree.children_left[node] < 0
        if place >= inner:
            judge.leaf[number, place - inner] = float(tree.value[node, 0, 0]) * shrinkage
            continue
        if not leaf:
            judge.feature[number, place] = int(tree.feature[node])
            judge.threshold[number, place] = float(tree.threshold[node])
        left = node if leaf else int(tree.children_left[node])
        right = node if leaf else int(tree.children_right[node])
        places += [(2 * place + 1, left), (2 * place + 2, right)]
