"""How much of one file we are willing to read: every limit names itself in the message or note it causes."""

from __future__ import annotations

from dataclasses import dataclass, fields

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """What one file may cost; the defaults bound a server's worst upload (FEASIBILITY, hostile media).

    max_bytes: file size. max_seconds: length read per call, beyond which a `limited` note is given.
    max_side: picture width and height in pixels. seconds_per_media_minute: wall time inside the decoder per minute
    asked for (one minute's worth at least). max_damage_share: share of damaged packets in [0, 1] beyond which
    a track is refused. open_seconds: wall time for opening, and for one read from the disk.
    """

    max_bytes: int = 2 * GIGABYTE
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
