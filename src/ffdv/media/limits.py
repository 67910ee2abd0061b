"""How much of one file we are willing to read: every limit names itself in the message or note it causes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields

from ffdv.errors import RecipeError

GIGABYTE = 1_000_000_000
MOST_GIGABYTES = 16.0  # four hours of full HD; a file is read in bounded memory and time whatever its size


def most_bytes() -> int:
    """The size of a file up to which it is read: FFDV_MAX_GB gigabytes. Raises RecipeError where that is no positive number."""
    asked = os.environ.get("FFDV_MAX_GB", "").strip()
    try:
        gigabytes = float(asked) if asked else MOST_GIGABYTES
    except ValueError:
        gigabytes = 0.0
    if not 0.0 < gigabytes < float("inf"):
        raise RecipeError(f"FFDV_MAX_GB must be a positive number of gigabytes, got {asked!r}")
    return round(gigabytes * GIGABYTE)


@dataclass(frozen=True)
class Limits:
    """What one file may cost; the defaults bound a server's worst upload (FEASIBILITY, hostile media).

    max_bytes: file size, FFDV_MAX_GB by default. max_seconds: length read per call, beyond which a `limited` note is given.
    max_side: picture width and height in pixels. seconds_per_media_minute: wall time inside the decoder per minute
    asked for (one minute's worth at least). max_damage_share: share of damaged packets in [0, 1] beyond which
    a track is refused. open_seconds: wall time for opening, and for one read from the disk.
    """

    max_bytes: int = field(default_factory=most_bytes)
    max_seconds: float = 600.0
    max_side: int = 4096
    seconds_per_media_minute: float = 60.0
    max_damage_share: float = 0.5
    open_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse limits that let nothing through."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not value > 0:
                raise ValueError(f"limit {item.name} must be positive, got {value!r}")
