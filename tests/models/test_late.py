"""Opinions weighed: a missing sense changes nothing, none is weighed negatively, the useful one weighs most."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ffdv.metrics.ranking import roc_auc
from ffdv.models.late import FusionSpec, LateNet, fit_late


def margins(net: LateNet, log_odds: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        logits = net(torch.from_numpy(np.asarray(log_odds, np.float32)))
    return (logits[:, 1] - logits[:, 0]).numpy()


def opinions(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three senses: the first sees half of the fakes, the second the other half, the third guesses; a fifth is missing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    log_odds = rng.standard_normal((count, 3)) - [1, 1, 0]
    kind = rng.integers(0, 2, count)
    log_odds[np.arange(count), kind] += 3.0 * labels
    log_odds[rng.random((count, 3)) < 0.2] = np.nan
    return log_odds.astype(np.float32), labels


def test_together_they_rank_better_than_each_and_the_guesser_weighs_least() -> None:
    log_odds, labels = opinions(400)
    net = LateNet(3)

    fit_late(net, log_odds, labels)

    new, wanted = opinions(1000, seed=1)
    alone = [roc_auc(wanted, np.nan_to_num(new[:, sense])) for sense in range(3)]
    assert roc_auc(wanted, margins(net, new)) > max(alone) + 0.05
    weights = net.weights.detach().numpy()
    assert (weights > 0).all()
    assert weights[2] < min(weights[0], weights[1])


def test_a_missing_sense_says_what_is_usual_and_more_suspicion_never_acquits() -> None:
    net = LateNet(3)
    fit_late(net, *opinions(100))
    usual = net.centre.tolist()

    missing, as_usual = margins(net, [[2.0, np.nan, np.nan], [2.0, *usual[1:]]])
    rising = margins(net, [[value, -1.0, np.nan] for value in np.linspace(-5, 5, 11)])

    assert missing == pytest.approx(as_usual)
    assert (np.diff(rising) > 0).all()
    assert np.isfinite(margins(net, [[np.nan] * 3, [1e9, -1e9, 0.0]])).all()


def test_a_sense_is_measured_by_what_it_says_of_genuine_clips() -> None:
    log_odds, labels = opinions(400)
    net, stretched = LateNet(3), LateNet(3)

    fit_late(net, log_odds, labels)
    fit_late(stretched, log_odds * [1, 0.01, 100] + [0, 5, -70], labels)

    reals = log_odds[labels == 0]
    assert net.centre.numpy() == pytest.approx(np.nanmean(reals, axis=0), abs=1e-4)
    assert margins(stretched, log_odds * [1, 0.01, 100] + [0, 5, -70]) == pytest.approx(
        margins(net, log_odds), abs=0.05
    )


def test_a_sense_that_knows_one_rare_kind_of_fake_is_heard_where_kinds_are_told() -> None:
    rng = np.random.default_rng(3)

    def clips(common: int, rare: int, real: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
        kinds = ["common"] * common + ["rare"] * rare + [""] * real
        log_odds = rng.standard_normal((len(kinds), 2))
        log_odds[:common, 0] += 1.5  # the first sense knows the common kind
        log_odds[common : common + rare, 1] += 2.5  # the second the rare one, and on common fakes it is wrong
        log_odds[:common, 1] -= 1.0
        return log_odds.astype(np.float32), np.array([kind != "" for kind in kinds], np.int64), kinds

    log_odds, labels, kinds = clips(200, 8, 150)
    together, by_kind = LateNet(2), LateNet(2)
    fit_late(together, log_odds, labels)
    fit_late(by_kind, log_odds, labels, kinds)

    new, wanted, of = clips(300, 300, 300)
    rare = np.array(of) != "common"
    auc = [roc_auc(wanted[rare], margins(net, new[rare])) for net in (together, by_kind)]
    assert auc[1] > auc[0] + 0.1
    assert auc[1] > 0.85


def test_with_few_clips_the_weights_stay_near_equal() -> None:
    net = LateNet(3)

    fit_late(net, *opinions(6))

    assert float((net.weights - 1 / 3).detach().abs().max()) < 1.5


def test_one_member_is_no_fusion() -> None:
    with pytest.raises(ValueError, match="two or more recipes or runs of different names, got voice"):
        FusionSpec(members=("voice",))
    with pytest.raises(ValueError, match="named by its recipe or the folder of its run"):
        FusionSpec(members=("voice", ".."))
    with pytest.raises(ValueError, match="of different names"):
        FusionSpec(members=("voice", "runs/voice"))
