"""Frames and samples → arrays, without luck and without torch."""
