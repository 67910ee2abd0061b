"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffdv.records import Samples

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips beside the project; tests that need it skip by name when it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real clips (../shared/data) are not beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tone() -> Samples:
    """One second of a 440 Hz tone at 16 kHz, mono."""
    seconds = np.arange(16_000) / 16_000
    return Samples((0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)[None], 16_000)
