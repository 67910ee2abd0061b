"""What is learned for lips and sound: a small network of phones, and the canonical directions of sound and mouth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[np.float64]

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
