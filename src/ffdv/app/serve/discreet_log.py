"""What a service writes down: nothing by which a reader of the log could fetch strangers' clips, and no fault ten thousand times."""

from __future__ import annotations

import logging
import math
import re
import time

SAME_FAULT_SECONDS = 60.0  # asyncio tells of descriptors that ran out thousands of times a second
_KEY = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b(/[^\n:]*)?")


class DiscreetLog(logging.Filter):
    """For handlers: shortens keys, leaves out the paths below them, and tells of one lasting fault of the event loop once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; changed as the class says."""
        text = _KEY.sub(r"\1...", record.getMessage())
        record.msg, record.args = text, ()
        if record.name == "asyncio":
            record.exc_info = None if "accept()" in text else record.exc_info
            now = time.monotonic()
            if now - self._told.get(text[:40], -math.inf) < SAME_FAULT_SECONDS:
                return False
            self._told[text[:40]] = now
        return True
