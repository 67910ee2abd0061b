"""`python -m ffdv` is the `ffdv` command."""

from __future__ import annotations

from ffdv.app.cli import main

main()
