"""The scripts that teach the sense of voice: closed rows are refused, generators count alike, both of a pair suffer alike."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "weights"))

import voice as script
from voice_corpus import ClosedRowError, Row, check_open
from voice_training import CUT, Collection, Disturbance, Family, PairedWindows, Shelf, worn_by_codec

from ffdv.detect.voice import RATE, TOP_HZ, WINDOW

CPU = torch.device("cpu")


def row(path: str, label: int = 1, generator: str = "g", *, is_open: bool = True) -> Row:
    return Row(path, label, generator, "s", "", open=is_open)


def collection(count: int, *, seed: int = 0, seconds: float = 3.0) -> Collection:
    rng = np.random.default_rng(seed)
    length = round(seconds * RATE)
    pcm = rng.normal(0, 1500, count * length).astype(np.int16)
    return Collection(pcm, np.arange(count + 1) * length, [f"pair {k}" for k in range(count)])


def test_closed_rows_are_refused() -> None:
    is_open, closed = row("a.opus"), row("a.opus", is_open=False)

    assert check_open([is_open]) == [is_open]
    with pytest.raises(ClosedRowError, match=r"a\.opus: its licence"):
        check_open([is_open, closed])
    with pytest.raises(ClosedRowError):
        script.fit_machine(np.zeros((1, 3), np.float32), [closed], {})
    with pytest.raises(ClosedRowError):
        script.genuine_scale({0: np.zeros(RATE, np.float32)}, [row("a.opus", 0, is_open=False)], [0])


def test_generators_count_alike_whatever_their_number() -> None:
    many = [row(f"{k}", generator="many") for k in range(80)]
    few = [row(f"f{k}", generator="few") for k in range(20)]
    real = [row(f"r{k}", 0, "real") for k in range(50)]

    shares = script.shares([*many, *few, *real])

    assert shares[:80].sum() == pytest.approx(shares[80:100].sum())
    assert shares[:100].sum() == pytest.approx(shares[100:].sum())


def test_clips_of_one_utterance_go_through_the_same_codec(tmp_path: Path) -> None:
    clips = collection(2, seconds=1.0)
    same = Collection(np.tile(clips.pcm[:RATE], 2), clips.starts, ["one", "one"])
    other = Collection(same.pcm, same.starts, ["one", "two"])

    alike, unlike = (worn_by_codec(one, 1, tmp_path / f"{k}.npy") for k, one in enumerate((same, other)))

    assert len(alike) == len(same.pcm)
    assert np.array_equal(alike[:RATE], alike[RATE:])
    assert not np.array_equal(unlike[:RATE], unlike[RATE:])


def test_a_pair_is_the_same_stretch_of_the_same_version() -> None:
    spoken = collection(3)
    worn = (spoken.pcm // 2).astype(np.int16)
    shelves = {name: Shelf(spoken, [worn], CPU) for name in ("real", "copies")}
    family = Family("copies", [0, 1, 2], [0, 1, 2], 1.0)

    windows = PairedWindows(shelves, [family], [[0, 1, 2]], seed=0).draw(200)

    assert windows.shape == (400, CUT)
    same = (windows[0::2] == windows[1::2]).all(dim=1).float().mean()
    assert 0.65 < same < 0.85  # PAIRED of them, and here and there a stranger that is not one


def test_both_of_a_pair_are_disturbed_alike_and_end_at_seven_kilohertz() -> None:
    torch.manual_seed(0)
    one = 0.05 * torch.randn(6, 1, CUT)
    pairs = one.expand(6, 2, CUT).reshape(12, CUT)

    heard = Disturbance(CPU, seed=0)(pairs)

    assert heard.shape == (12, WINDOW)
    assert torch.allclose(heard[0::2], heard[1::2], atol=1e-6)
    assert not torch.allclose(heard[0], heard[2], atol=1e-3)
    power = torch.fft.rfft(heard).abs().square()
    hz = torch.linspace(0, RATE / 2, power.shape[1])
    assert power[:, hz > TOP_HZ + 60].sum() < 1e-6 * power.sum()


def test_lines_are_worth_what_they_tell_beside_the_others() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 6000)
    logits, lines = labels + rng.normal(0, 1, 6000), labels + rng.normal(0, 2, 6000)  # a quarter of the weight each

    assert script.fit_share(logits, lines, labels) == pytest.approx(0.25, abs=0.05)


def test_worn_clips_are_judged_by_how_worn_they_are() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    wear = rng.uniform(-2, 6, 4000)
    logits = labels - 0.5 + 0.3 * wear + rng.normal(0, 0.7, 4000)  # wear alone makes a clip seem forged

    slope, intercept, share = script.fit_worn(logits, wear, labels)

    assert share == pytest.approx(-0.3, abs=0.04)
    assert slope == pytest.approx(1 / 0.7**2, abs=0.3)  # of two Gaussians a unit apart
    assert abs(slope * np.mean(logits + share * wear) + intercept) < 0.1
