"""How usual a clip is, in a few numbers that training and detection take alike: what metrics/decision compares with what
training saw.

What a net never gets to see is no reason to doubt it: rates and bands count up to the net's own rate, lengths up to what it
judges at once. What cannot be measured is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from ffdv.features.probes import SoundProbes
from ffdv.records import FacesSeen, Note, Samples

# Where a spectrum ends is known after so much of it; more would only cost time (10 s: 3 ms).
LISTENED_SECONDS = 10.0
_DAMAGED = re.compile(r"([\d.]+) % of the (sound|picture) is damaged")
_CUT_OFF = re.compile(r"the (sound|picture) ends [\d.]+ s before the length in the header")


def sound_measures(sound: Samples, *, rate: int, longest_seconds: float) -> dict[str, float]:
    """sound_seconds, sound_rate_hz and sound_band_hz of a clip for a net at `rate` Hz that judges at most longest_seconds at once."""
    mono = sound.mono()[: round(LISTENED_SECONDS * sound.rate)]
    measures = {
        "sound_seconds": min(sound.duration_seconds, longest_seconds),
        "sound_rate_hz": float(min(sound.rate, rate)),
    }
    probes = SoundProbes(sound.rate)
    probes.add(mono[None], mono)
    limit = probes.finish().get("sound_band_limit_hz")
    if limit is not None:
        measures["sound_band_hz"] = min(limit, rate / 2)
    return measures


def face_measures(faces: FacesSeen | None) -> dict[str, float]:
    """face_pixels: the median width of the face seen most often, in picture pixels; nothing without a face."""
    tracks = [] if faces is None else [track for track in faces.tracks if len(track.boxes)]
    if not tracks:
        return {}
    boxes = max(tracks, key=lambda track: len(track.boxes)).boxes
    return {"face_pixels": float(np.median(boxes[:, 2] - boxes[:, 0]))}


def damage_measure(notes: Iterable[Note], *, sense: str = "sound") -> dict[str, float]:
    """damaged_share in [0, 1] of a sense (sound, picture), 0 where no note tells of damage.

    >>> damage_measure([Note("damaged", "2.5 % of the sound is damaged (3 of 120 packets)")])
    {'damaged_share': 0.025}
    """
    shares = [
        float(found.group(1)) / 100
        for note in notes
        if note.code == "damaged" and (found := _DAMAGED.search(note.text)) and found.group(2) == sense
    ]
    return {"damaged_share": max(shares, default=0.0)}


def is_cut_off(notes: Iterable[Note], *, sense: str = "sound") -> bool:
    """Whether a note tells that a sense (sound, picture) ends before its header says.

    >>> is_cut_off([Note("truncated", "the sound ends 1.4 s before the length in the header; the file seems cut off")])
    True
    """
    ends = (_CUT_OFF.search(note.text) for note in notes if note.code == "truncated")
    return any(end is not None and end.group(1) == sense for end in ends)
