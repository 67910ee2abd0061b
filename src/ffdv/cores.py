"""Matrix libraries kept to one thread where ffdv itself shares out the cores, and where models are small.

OpenBLAS, MKL and OpenMP take every core for each product, however small, and their threads spin while they wait. Two workers on two cores
then are four threads in each other's way: a batch of scans ran 1.46 times as fast with two workers as with one, and 2 times
with this; on a busy machine the models of an audit took 37 s in place of 1. The libraries read their variables once, when they are
loaded: hence before NumPy is, or in a child that is yet to start; one_thread serves what is loaded already.
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


@contextmanager
def one_thread() -> Iterator[None]:
    """What runs inside keeps to one thread, by libraries that are loaded already; as it is without scikit-learn's threadpoolctl."""
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        yield
        return
    with threadpool_limits(1):
        yield
