"""Which sample rates and windows make sense: one rule for a recipe, for what is exported of a run, and for the file that is read again.

What a recipe may ask for lies within what an exported file may say of itself, so that nothing that trains is refused when it is used.
"""

from __future__ import annotations

import sys

LEAST_RATE = 1_000
MOST_RATE = 384_000
# Of a window or a hop in a new recipe: an analysis frame of speech; shorter ones are millions a clip.
SHORTEST_SECONDS = 0.02
# Of a net that is trained: recipes once took any length, and a stranger may have written the file. Windows shall neither stand for
# hours of sound nor lie so close that a clip would be judged thousands of times over.
LEAST_SECONDS = 0.01
MOST_SECONDS = 3600.0
MOST_WINDOWS_AT_A_MOMENT = 256


def window_fault(window_seconds: object, hop_seconds: object) -> str:
    """What is wrong with these lengths (None: the whole clip, and end to end), "" where nothing is.

    How closely windows of whole clips lie is not asked: only what is longer than the longest clip has more than one of them.

    >>> window_fault(4.0, None), window_fault(None, 2.0), window_fault(4.0, 0.05)
    ('', '', '')
    >>> window_fault(60.0, 0.02)
    'hop_seconds 0.02 is too short for windows of 60 s, more than 256 would lie on each moment'
    """
    for name, seconds in (("window_seconds", window_seconds), ("hop_seconds", hop_seconds)):
        if seconds is not None and not _lies_within(seconds, LEAST_SECONDS, MOST_SECONDS):
            return f"{name} is {seconds!r:.40}, no length in seconds ({LEAST_SECONDS:g} to {MOST_SECONDS:g})"
    if window_seconds is None or hop_seconds is None:
        return ""
    window, hop = float(window_seconds), float(hop_seconds)  # type: ignore[arg-type]
    if hop * MOST_WINDOWS_AT_A_MOMENT < window:
        return (
            f"hop_seconds {hop:g} is too short for windows of {window:g} s, more than {MOST_WINDOWS_AT_A_MOMENT} would "
            "lie on each moment"
        )
    return ""


def longest_fault(max_seconds: object) -> str:
    """What is wrong with the length of the longest clip that was taken whole, "" where nothing is; None is not known.

    >>> longest_fault(None), longest_fault(7200), longest_fault("long")
    ('', '', "max_seconds is 'long', no length in seconds")
    """
    fits = max_seconds is None or _lies_within(max_seconds, sys.float_info.min, sys.float_info.max)
    return "" if fits else f"max_seconds is {max_seconds!r:.40}, no length in seconds"


def _lies_within(value: object, least: float, most: float) -> bool:
    """Whether this is a number in that range; JSON's whole numbers may be longer than a float holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
