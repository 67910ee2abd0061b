"""What is learned for lips and sound: a small network of phones, and the canonical directions of sound and mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ffdv.features.agreement import FPS, Array, PhoneWeights, View, curves_and_pictures, in_context
from ffdv.features.lips import motion, split_track
from ffdv.features.speech import speech_track
from ffdv.records import MouthTrack, Samples

_Known = npt.NDArray[np.bool_]

# The phones that pocketsphinx' English model knows; 0 is silence, breath and noise.
PHONES = (
    *(
        "SIL",
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
    ),
    *("K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)


class PhoneNet(nn.Module):
    """Which phone is heard: log-mel bands (clips, bands, frames) at 100 frames a second → logits (clips, phones, frames).

    Hears 90 ms to both sides. The numbers of the narrow layer before the last are what lips are compared with.
    """

    def __init__(self, num_bands: int = 32, *, width: int = 64, numbers: int = 24, dropout: float = 0.1) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv1d(num_bands, width, 5, padding=2),
                nn.Conv1d(width, width, 5, padding=4, dilation=2),
                nn.Conv1d(width, width, 3, padding=2, dilation=2),
            ]
        )
        self.narrow = nn.Conv1d(width, numbers, 1)
        self.phones = nn.Conv1d(numbers, len(PHONES), 1)
        self.dropout = nn.Dropout(dropout)

    def numbers(self, bands: Tensor) -> Tensor:
        """(clips, bands, frames) → (clips, numbers, frames) in (-1, 1)."""
        x = bands
        for convolution in self.convolutions:
            x = self.dropout(torch.relu(convolution(x)))
        return torch.tanh(self.narrow(x))

    def forward(self, bands: Tensor) -> Tensor:
        """Logits of the phones."""
        logits: Tensor = self.phones(self.numbers(bands))
        return logits

    def layers(self) -> tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]:
        """Weights and biases in the order in which they are applied."""
        modules = [*self.convolutions, self.narrow, self.phones]
        return tuple((m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy()) for m in modules)


def canonical_maps(
    sound: Array, mouth: Array, *, count: int, sound_ridge: float, mouth_ridge: float
) -> tuple[Array, Array, Array]:
    """The `count` directions in which sound (n, f) and mouth (n, m), both without mean, correlate best (Hotelling 1936).

    Returns sound_map (f, count), mouth_map (m, count), and their correlations (count,), falling. The ridges are shares of the
    mean variance that are added to every direction (Vinod 1976): with few clips the maps must not trust the rare ones.
    """
    frames = len(sound)
    whitened, maps = [], []
    for values, ridge in ((sound, sound_ridge), (mouth, mouth_ridge)):
        covariance = values.T @ values / frames
        covariance += ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        whitened.append(values @ inverse.T)
        maps.append(inverse.T)
    left, strengths, right = np.linalg.svd(whitened[0].T @ whitened[1] / frames, full_matrices=False)
    return maps[0] @ left[:, :count], maps[1] @ right[:count].T, strengths[:count]


def principal_directions(values: Array, count: int) -> Array:
    """The `count` directions (m, count) in which values (n, m), without mean, vary most."""
    _, _, right = np.linalg.svd(values, full_matrices=False)
    directions: Array = right[:count].T
    return directions


class SyncSpec(BaseModel):
    """How the maps between sound and mouth are fitted.

    directions: canonical ones, of each view; sound_ridge, mouth_ridge: shares of the mean variance added to every direction;
    picture_numbers: principal directions of the small mouth pictures; context: of sound about a moment, in frames of 10 ms;
    lead_frames: how much later than the lips the sound of the clips comes about, in frames of 40 ms; wrong_pairs: made of each
    real clip, with sounds of other people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    directions: int = Field(default=6, ge=1, le=24)
    sound_ridge: float = Field(default=1.0, gt=0)
    mouth_ridge: float = Field(default=0.1, gt=0)
    picture_numbers: int = Field(default=12, ge=1, le=324)
    context: tuple[int, ...] = (-8, -4, 0, 4, 8)
    lead_frames: float = Field(default=1.0, ge=-15, le=15)
    wrong_pairs: int = Field(default=5, ge=1, le=50)


STANDARD_SYNC = SyncSpec()


@dataclass(frozen=True)
class Talking:
    """A mouth and the sound that belongs to it."""

    mouth: MouthTrack
    sound: Samples

    @cached_property
    def stretches(self) -> list[slice]:
        """Where the mouth is in sight."""
        return split_track(self.mouth.seconds, self.mouth.in_sight, fps=FPS)

    @cached_property
    def seen(self) -> tuple[list[Array], list[Array]]:
        """Curves and small pictures of each stretch."""
        return curves_and_pictures(self.mouth, self.stretches)


def fit_views(
    clips: Sequence[Talking], networks: Sequence[PhoneWeights], spec: SyncSpec = STANDARD_SYNC
) -> tuple[View, ...]:
    """Canonical maps between every phone network's numbers and the mouth's curves and pictures, on genuine clips."""
    centred = np.concatenate([part - part.mean(axis=0) for clip in clips for part in clip.seen[1]])
    base = principal_directions(centred, min(spec.picture_numbers, *centred.shape))
    views = []
    for kind in ("curves", "pictures"):
        moved = [_moved(clip, kind, base) for clip in clips]
        scale = np.maximum(np.concatenate(moved).std(axis=0), 1e-6)
        for number, network in enumerate(networks):
            sounds, mouths = [], []
            for clip, values in zip(clips, moved, strict=True):
                sound, known = _sound_beside(clip, network, spec)
                heard, seen = sound[known], (values / scale)[known]
                if known.any():
                    sounds.append(heard - heard.mean(axis=0))
                    mouths.append(seen - seen.mean(axis=0))
            maps = canonical_maps(
                np.concatenate(sounds),
                np.concatenate(mouths),
                count=spec.directions,
                sound_ridge=spec.sound_ridge,
                mouth_ridge=spec.mouth_ridge,
            )
            views.append(View(kind, number, base if kind == "pictures" else np.zeros((0, 0)), scale, *maps))
    return tuple(views)


def _moved(clip: Talking, kind: str, base: Array) -> Array:
    curves, pictures = clip.seen
    return np.concatenate([motion(part) for part in (curves if kind == "curves" else [one @ base for one in pictures])])


def _sound_beside(clip: Talking, network: PhoneWeights, spec: SyncSpec) -> tuple[Array, _Known]:
    """The network's numbers beside each frame that shows the mouth, lead_frames later, and where there is sound."""
    track = speech_track(clip.sound)
    rows = np.concatenate([np.arange(part.start, part.stop) for part in clip.stretches])
    frames = track.at(clip.mouth.seconds[rows] + spec.lead_frames / FPS)
    known = (frames >= 0) & (frames < len(track.bands))
    numbers = in_context(network.hear(track)[0], spec.context)
    return numbers[np.clip(frames, 0, len(numbers) - 1)], known
