"""What real clips show of each cue, looked at as `ffdv scan` looks: writes src/ffdv/detect/cue_ranges.json.

    python benchmarks/cue_ranges.py FOLDER [--out FILE]      # a folder of clips with manifest.csv (file, target)

Only clips with target 0 are looked at. For each cue the file holds the 5th, 50th and 95th percentile and the number of clips.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from ffdv.detect.looking import Look, LookSpec
from ffdv.errors import MediaError
from ffdv.features.cues import CUE_KINDS

PERCENTILES = (5, 50, 95)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/ffdv/detect/cue_ranges.json"))
    asked = parser.parse_args()
    with (asked.folder / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["target"] == "0"]
    values: dict[str, list[float]] = defaultdict(list)
    for number, name in enumerate(names, start=1):
        print(f"\r{number} of {len(names)}", end="", file=sys.stderr)
        for code, value in cues_of(asked.folder / name).items():
            values[code].append(value)
    ranges = {
        code: [*(float(f"{number:.4g}") for number in np.percentile(values[code], PERCENTILES)), len(values[code])]
        for code in CUE_KINDS
        if values[code]
    }
    told = {"what": "5th, 50th, 95th percentile and number of real clips", "clips": len(names), "ranges": ranges}
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for code, numbers in ranges.items():
        print(f"{code:24s} {numbers}")
    return 0


def cues_of(path: Path) -> dict[str, float]:
    """The cues of one clip; those of a clip that cannot be read are left out."""
    try:
        with Look(path, LookSpec(threads=1)) as look:
            return {cue.code: cue.value for looked in look.pieces() for cue in looked.cues}
    except MediaError as error:
        print(f"\n{error}", file=sys.stderr)
        return {}


if __name__ == "__main__":
    sys.exit(main())
