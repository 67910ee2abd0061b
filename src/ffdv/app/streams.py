"""The three streams of a command, whatever it was started with: closed, or in an encoding that lacks most characters."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


def ready_streams() -> None:
    """Streams that are there and take every text: what their encoding lacks is written with backslashes, where Python would stop.

    A closed one (daemons, pythonw, `>&-`) leads nowhere: the work is done for its files.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 -- as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
