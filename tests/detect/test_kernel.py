from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffdv.detect.kernel import KernelMachine, from_steps, load_kernel_machine, save_kernel_machine, stored_steps
from ffdv.errors import CheckpointError


def machine(*, k: int = 5, clips: int = 7, seed: int = 0, **changes: Any) -> KernelMachine:
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.1, 1, k).astype(np.float32)
    steps = rng.integers(-127, 128, (clips, k)).astype(np.int8)
    parts = {
        "places": np.arange(k, dtype=np.int64) * 2,
        "centre": rng.standard_normal(k).astype(np.float32),
        "scale": rng.uniform(0.5, 2, k).astype(np.float32),
        "weight": weight,
        "kept": (from_steps(steps, 3.0) * weight).astype(np.float32),
        "share": rng.standard_normal(clips).astype(np.float32),
        "bias": 0.25,
        "gamma": 0.5,
        "clip": 3.0,
        "facts": {"rows": 7},
    }
    return KernelMachine(**{**parts, **changes})


def test_logits_equal_the_formula_written_out() -> None:
    one, x = machine(), np.random.default_rng(1).standard_normal((3, 12)).astype(np.float32)

    expected = []
    for row in x:
        z = np.clip((row[one.places] - one.centre) / one.scale, -3, 3) * one.weight
        expected.append(
            0.25 + sum(s * np.exp(-0.5 * np.sum((z - c) ** 2)) for s, c in zip(one.share, one.kept, strict=True))
        )
    assert np.allclose(one.logits(x), expected, atol=1e-5)


def test_a_saved_machine_says_the_same(tmp_path: Path) -> None:
    one, x = machine(), np.random.default_rng(2).standard_normal((4, 12)).astype(np.float32)
    save_kernel_machine(one, tmp_path / "m.npz")

    again = load_kernel_machine(tmp_path / "m.npz")

    assert np.allclose(again.logits(x), one.logits(x), atol=1e-6)
    assert again.facts == {"rows": 7}


def test_a_clip_that_it_learned_from_is_not_unlike() -> None:
    one = machine(places=np.arange(5), centre=np.zeros(5, np.float32), scale=np.ones(5, np.float32))
    one = machine(places=one.places, centre=one.centre, scale=one.scale, weight=np.ones(5, np.float32))

    assert one.unlikeness(np.clip(one.kept[:1], -3, 3))[0] < 1e-6 < one.unlikeness(one.kept[:1] + 5)[0]


def test_a_damaged_file_a_missing_one_and_another_version_are_refused_with_the_file_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"PK\x03\x04 not really")
    other = tmp_path / "other.npz"
    np.savez(other, header=np.frombuffer(json.dumps({"format": 99}).encode(), np.uint8))

    for path in (damaged, tmp_path / "absent.npz", other):
        with pytest.raises(CheckpointError, match=path.name):
            load_kernel_machine(path)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        machine(share=np.zeros(3, np.float32))


def test_steps_are_within_half_a_step_of_what_they_stand_for_and_clipped() -> None:
    z = np.random.default_rng(3).uniform(-4, 4, (50, 6))

    again = from_steps(stored_steps(z, 2.5), 2.5)

    assert np.abs(again - np.clip(z, -2.5, 2.5)).max() <= 2.5 / 127 / 2 + 1e-12
