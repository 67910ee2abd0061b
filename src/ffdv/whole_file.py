"""A file that appears whole or not at all, whoever else writes into its folder, looks at it, or laid a link there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole; nothing is left of it when writing fails. Its folder is made.

    durable: it is flushed to the disk first, so that it outlives a loss of power; what is quickly made again need not be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(
        f".{os.getpid()}-{secrets.token_hex(8)}.part"
    )  # short: the file's own name may have all 255 bytes
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, content: Any, *, durable: bool = True) -> None:
    """Write bytes, or what has them as a buffer, into a whole file."""
    with whole_file(path, durable=durable) as file:
        file.write(content)
