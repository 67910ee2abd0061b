"""Whether a new training came out as the model card states."""

from __future__ import annotations


def exit_status(reached: float, stated: tuple[float, float]) -> int:
    """Say so; 0 within the stated interval of an AUC, 1 outside."""
    inside = stated[0] <= reached <= stated[1]
    print("within the interval of the model card" if inside else "OUTSIDE the interval of the model card")
    return 0 if inside else 1
