"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips beside the project; tests that need it skip by name when it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real clips (../shared/data) are not beside the project")
    return SHARED_DATA
