"""Matrix libraries kept to one thread where ffdv itself shares out the cores.

OpenBLAS, MKL and OpenMP take every core for each product, however small, and their threads spin on after it. Two workers on two cores
then are four threads in each other's way: a batch of scans ran 1.46 times as fast with two workers as with one, and 1.98 times
with this. The libraries read their variables once, when they are loaded: hence before NumPy is, or in a child that is yet to start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def keep_to_one_thread() -> None:
    """For this process, whose NumPy is not loaded yet, and for all that it starts. What the user has set stays."""
    for name in VARIABLES:
        os.environ.setdefault(name, "1")


@contextmanager
def children_keep_to_one_thread() -> Iterator[None]:
    """Processes started inside keep to one thread; what the user has set stays, and this process is as it was."""
    added = [name for name in VARIABLES if name not in os.environ]
    keep_to_one_thread()
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
