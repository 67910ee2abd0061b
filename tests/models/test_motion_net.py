"""Light classifiers as plain tensors say what scikit-learn says, and are blind to what is not known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ffdv.metrics.ranking import roc_auc
from ffdv.models.motion import MotionSpec, TreesJudge, build_motion, fit_vectors


def clips(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (count, 6): the second number tells, the fourth tells by its square, the fifth is constant, some are unknown."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    vectors = rng.standard_normal((count, 6)).astype(np.float32)
    vectors[:, 1] += 1.5 * labels
    vectors[:, 3] *= 1 + 3 * labels
    vectors[:, 4] = 7.0
    vectors[::9, 0] = np.nan
    return vectors * 100 + 5, labels, np.arange(count) // 4


def margins(net: torch.nn.Module, vectors: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        logits = net(torch.from_numpy(vectors.astype(np.float32)))
    return (logits[:, 1] - logits[:, 0]).numpy()


@pytest.mark.parametrize("classifier", ["logistic", "boosting"])
def test_it_learns_what_separates_and_gives_finite_numbers_for_what_it_has_not_seen(classifier: str) -> None:
    vectors, labels, groups = clips(240)
    spec = MotionSpec(classifier=classifier, trees=60)
    net = build_motion(spec, 6)

    fit_vectors(net, vectors, labels, groups, spec=spec)

    new, new_labels, _ = clips(200, seed=1)
    assert roc_auc(new_labels, margins(net, new)) > 0.8
    odd = np.array([[np.nan] * 6, [1e30] * 6, [-1e30] * 6], np.float32)
    assert np.isfinite(margins(net, odd)).all()
    changed = new.copy()
    changed[:, 4] = -1e6
    np.testing.assert_array_equal(margins(net, changed), margins(net, new))  # it never varied: it says nothing


def test_trees_in_tensors_are_the_trees_of_scikit_learn() -> None:
    from sklearn.ensemble import GradientBoostingClassifier

    vectors, labels, _ = clips(150)
    spec = MotionSpec(classifier="boosting", trees=25, depth=3)
    net = build_motion(spec, 6)
    fit_vectors(net, vectors, labels, np.arange(150), spec=spec, seed=3)
    with torch.inference_mode():
        scaled = net.scaled(torch.from_numpy(vectors)).numpy()
    theirs = GradientBoostingClassifier(
        n_estimators=25, max_depth=3, learning_rate=0.05, subsample=0.7, max_features="sqrt", random_state=3
    ).fit(scaled, labels)

    assert isinstance(net.judge, TreesJudge)
    np.testing.assert_allclose(margins(net, vectors), theirs.decision_function(scaled), atol=1e-4)


def test_without_groups_enough_to_compare_strengths_it_is_still_fitted() -> None:
    vectors, labels, _ = clips(20)
    net = build_motion(MotionSpec(), 6)

    fit_vectors(net, vectors, labels, np.zeros(20, np.int64), spec=MotionSpec())

    assert roc_auc(labels, margins(net, vectors)) > 0.7


def test_the_small_net_starts_from_the_scale_of_its_training_clips() -> None:
    vectors, labels, groups = clips(60)
    spec = MotionSpec(classifier="net")
    net = build_motion(spec, 6)

    fit_vectors(net, vectors, labels, groups, spec=spec)

    with torch.inference_mode():
        scaled = net.scaled(torch.from_numpy(vectors))
    assert float(scaled.abs().max()) <= 4
    assert 0.5 < float(scaled[:, 1].std()) < 1.5
