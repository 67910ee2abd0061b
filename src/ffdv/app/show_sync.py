"""Lips against sound in the terminal: the offset in words, then its course over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffdv.app import console

if TYPE_CHECKING:
    from ffdv.detect.sync import SyncEstimate

CONFIDENT = 0.4  # of 86 real clips, whose sound mostly is in step, 14 of the 23 below are found within 1.5 frames of it, 47 of the 60 above (3 are called)
CALLED = 0.69  # one of 20 real development clips is above (docs/log.md, 2026-11-27)


def show_sync(found: SyncEstimate) -> None:
    """One sentence, three numbers, and a row for each moment."""
    console.say(f"{console.printable(found.path)}: {_sentence(found)}")
    console.say(
        f"offset {found.offset_frames:+.1f} frames of 40 ms ({found.offset_ms:+.0f} ms) · distance {found.distance:.2f} · "
        f"confidence {found.confidence:.2f} · chance that they do not belong together {found.mismatch_probability:.2f}"
    )
    for doubt in found.doubts:
        console.warn(doubt)
    rows = [
        (
            f"{one.start_seconds:.1f}–{one.stop_seconds:.1f} s",
            f"{one.offset_frames:+.1f}",
            f"{one.offset_frames * 40:+.0f}",
            f"{one.distance:.2f}",
            f"{one.confidence:.2f}",
            f"{one.mismatch_probability:.2f}",
        )
        for one in found.moments
    ]
    heads = ("time", "frames", "ms", "distance", "confidence", "mismatch")
    console.table(heads, rows, right=heads[1:])


def _sentence(found: SyncEstimate) -> str:
    if found.mismatch_probability > CALLED:
        return "lips and sound do not seem to belong together"
    if abs(found.offset_frames) < 1.5:
        return "sound and lips are in step"
    side = "late" if found.offset_ms > 0 else "early"
    if found.confidence < CONFIDENT:
        return f"the sound is perhaps {abs(found.offset_ms):.0f} ms {side}; no offset stands out clearly"
    return f"the sound is {abs(found.offset_ms):.0f} ms {side}"
