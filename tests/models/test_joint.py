"""Sound and face in one net: rows do not see each other's padding, either sense may be missing, time binds the two."""

from __future__ import annotations

import math

import numpy as np
import torch

from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.embedding import Embeds
from ffdv.models.joint import JointNet, JointSpec, build_joint, heads_loss, times
from ffdv.models.zoo import ModelSpec

SIDE, RATE = 32, 8000
FRONT_END = FrontEndSpec(kind="linear", sample_rate=RATE, n_fft=256, hop_length=80, n_bands=32, scaling="bands")


def net(**settings: object) -> JointNet:
    torch.manual_seed(0)
    model = ModelSpec(backbone="test_resnet", picture_size=(SIDE, SIDE))
    return build_joint(model, FRONT_END, JointSpec(width=16, layers=2, **settings)).eval()


def clip(frames: int, seconds: float, seed: int = 0) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    rng = np.random.default_rng(seed)
    crops = torch.from_numpy(rng.integers(0, 256, (1, frames, 3, SIDE, SIDE), dtype=np.uint8))
    sound = torch.from_numpy(rng.standard_normal((1, round(seconds * RATE))).astype(np.float32))
    moments = torch.arange(frames).view(1, -1) / 8.0
    return (crops, moments, sound), torch.tensor([[frames, sound.shape[1]]])


def padded(samples: tuple[torch.Tensor, ...], frames: int, length: int) -> tuple[torch.Tensor, ...]:
    crops, moments, sound = samples
    wide = torch.full((1, frames, *crops.shape[2:]), 200, dtype=torch.uint8)
    wide[:, : crops.shape[1]] = crops
    later = torch.full((1, frames), 9.0)
    later[:, : moments.shape[1]] = moments
    long = torch.zeros(1, length)
    long[:, : sound.shape[1]] = sound
    return wide, later, long


def test_padding_is_neither_seen_nor_heard() -> None:
    judge = net()
    samples, lengths = clip(3, 0.8)

    with torch.inference_mode():
        alone = judge(samples, lengths)
        wide = judge(padded(samples, 6, round(0.8 * RATE) + 80 * 16), lengths)

    assert alone.shape == (1, 4, 2)
    torch.testing.assert_close(wide, alone, atol=1e-4, rtol=1e-4)


def test_a_missing_sense_leaves_the_other_ones_question_as_it_is() -> None:
    judge = net()
    samples, lengths = clip(3, 0.8)
    blind, deaf = lengths * torch.tensor([0, 1]), lengths * torch.tensor([1, 0])

    with torch.inference_mode():
        other = clip(3, 0.8, seed=1)[0]
        no_face = [judge((crops, samples[1], samples[2]), blind) for crops in (samples[0], other[0])]
        no_sound = [judge((samples[0], samples[1], sound), deaf) for sound in (samples[2], other[2])]

    torch.testing.assert_close(no_face[0], no_face[1])
    torch.testing.assert_close(no_sound[0], no_sound[1])
    assert torch.isfinite(torch.cat([*no_face, *no_sound])).all()


def test_training_sometimes_takes_one_sense_away_but_never_the_only_one() -> None:
    judge = net(drop_sense=0.5)
    lengths = torch.tensor([[3, 100]] * 200 + [[0, 100]] * 50 + [[3, 0]] * 50)

    left = judge._dropped(lengths)

    assert 0.35 < float((left[:200] == 0).any(1).float().mean()) < 0.65
    assert (left > 0).any(1).all()
    torch.testing.assert_close(left[200:], lengths[200:])


def test_moments_are_alike_when_near_and_unlike_when_far() -> None:
    near, far = times(torch.tensor([1.0, 1.02, 2.5]), 32)[1:] @ times(torch.tensor([1.0]), 32)[0] / 16

    assert near > 0.9
    assert far < 0.6


def test_unknown_answers_do_not_count_and_the_first_question_counts_fully() -> None:
    logits = torch.zeros(2, 4, 2, requires_grad=True)
    labels = torch.tensor([[1.0, math.nan, math.nan, math.nan], [0.0, 0.0, math.nan, math.nan]])

    loss = heads_loss(logits, labels, smoothing=0.0, head_weight=0.5)
    loss.backward()

    assert float(loss.detach()) == np.float32(math.log(2) * 1.5)
    gradient = logits.grad
    assert gradient is not None
    assert (gradient[:, 2:] == 0).all()
    assert (gradient[0, 1] == 0).all()
    assert (gradient[:, 0] != 0).all()


def test_it_trains_and_a_frozen_image_net_does_not_move() -> None:
    for frozen in (False, True):
        judge = net(frozen=frozen, drop_sense=0.0).train()
        samples, lengths = clip(2, 0.4)

        heads_loss(judge(samples, lengths), torch.ones(1, 4), smoothing=0.0, head_weight=1.0).backward()

        assert all((weight.grad is None) == frozen for weight in judge.encoder.parameters())
        assert all(weight.grad is not None for weight in judge.from_sound.parameters())


def test_an_embedding_is_what_the_question_about_the_whole_clip_is_answered_by() -> None:
    judge = net()
    samples, lengths = clip(3, 0.8)

    with torch.inference_mode():
        logits, embeddings = judge.embedded(samples, lengths)

        torch.testing.assert_close(logits, judge(samples, lengths))
        torch.testing.assert_close(judge.overall(embeddings), logits[:, 0])
    assert isinstance(judge, Embeds)
