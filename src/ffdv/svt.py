"""SVT-AV1 kept to its place: started by root, the encoder gives the calling thread real-time priority and never takes it back.

Whatever that thread starts afterwards inherits it: networks, browsers and whole test suites then spin on every core and starve the
machine (seen with SVT-AV1 in PyAV 18.1, in containers that run as root).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SVT = "libsvtav1"


@contextmanager
def kept_priority(encoder: str) -> Iterator[None]:
    """Inside, an encoder may be opened and used; afterwards the thread has the priority that it had. Only SVT-AV1 needs it."""
    if encoder != SVT:
        yield
        return
    os.environ.setdefault("SVT_LOG", "1")  # this encoder writes its settings to stderr unless told not to
    if not hasattr(os, "sched_getscheduler"):  # not on macOS and Windows, where the encoder does no such thing
        yield
        return
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameter)
