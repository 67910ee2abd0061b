"""How well each cue separates real from fake: AUC with its interval, and what real clips show. The table in features/cues.py comes from here.

    python benchmarks/cues.py FOLDER [--keep FOLDER]    # a folder of clips with manifest.csv (file, target, video_fake, audio_fake, method, identity, balanced)

Each cue is judged against the fakes of its own sense: picture cues against video_fake = 1, voice cues against audio_fake = 1, agreement cues
against wrong pairings and dubbed voices. Only rows with balanced = 1; the interval draws identities, not clips. --keep remembers each clip's cues.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ffdv.errors import MediaError
from ffdv.features.cues import (
    CUE_KINDS,
    Cue,
    PictureWatch,
    agreement_cues,
    motion_cues,
    sound_cues,
)
from ffdv.features.face_detectors import FaceDetector, make_face_detector
from ffdv.features.faces import FaceSpec, find_faces
from ffdv.features.landmarks import FaceMesh, follow_mesh
from ffdv.features.motion import STANDARD_MOTION, compare_neighbours
from ffdv.features.sync import STANDARD_MOUTH, gather_mouths, iter_mouths
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.metrics.uncertainty import bootstrap

Row = Mapping[str, str]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--keep", type=Path, help="a folder for the cues of each clip, as JSON")
    asked = arguments.parse_args()
    with (asked.folder / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["balanced"] == "1"]
    values = {row["file"]: cues for row, cues in measured(rows, asked.folder, asked.keep)}
    print(f"{'cue':24s} {'clips':>5s} {'fake':>5s} {'AUC':>6s} {'95 % interval':>16s} {'real 5 … 95 %':>24s}")
    for code in CUE_KINDS:
        judge(code, rows, values)
    return 0


def measured(rows: list[Row], folder: Path, keep: Path | None) -> Iterator[tuple[Row, dict[str, float]]]:
    detector, face_mesh = make_face_detector(), FaceMesh()
    for number, row in enumerate(rows):
        kept = keep / f"{Path(row['file']).stem}.json" if keep else None
        if kept and kept.exists():
            yield row, json.loads(kept.read_text())["cues"]
            continue
        print(f"\r{number + 1} of {len(rows)}", end="", file=sys.stderr)
        cues = {cue.code: cue.value for cue in clip_cues(folder / row["file"], detector, face_mesh)}
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps({"cues": cues}))
        yield row, cues


def clip_cues(path: Path, detector: FaceDetector, face_mesh: FaceMesh) -> list[Cue]:
    cues: list[Cue] = []
    with open_media(path) as media:
        samples = read_samples(media) if media.facts.has_sound else None
        cues += sound_cues(samples) if samples else []
        if not media.facts.has_picture:
            return cues
        try:
            tracks = find_faces(read_frames(media, fps=FaceSpec().fps), FaceSpec(), detector).tracks
            if not tracks:
                return cues
            watch = PictureWatch(fps=STANDARD_MOUTH.fps)
            pairs = follow_mesh(read_frames(media, fps=STANDARD_MOUTH.fps), tracks[0], face_mesh)
            mouth = gather_mouths(iter_mouths(watch.watched(pairs)))
            cues += watch.cues()
            table = compare_neighbours(read_frames(media, fps=STANDARD_MOTION.fps), tracks[0])
            cues += motion_cues(table.series("face_residual"), table.series("ring_residual"))
            cues += agreement_cues(mouth, samples) if samples else []
        except MediaError as error:
            print(f"\n{error}", file=sys.stderr)
    return cues


def is_fake_of(sense: str, row: Row) -> bool:
    if sense == "picture":
        return row["video_fake"] == "1"
    if sense == "voice":
        return row["audio_fake"] == "1"
    return row["method"].startswith("dub_") or row["method"].endswith("audio_swap")


def judge(code: str, rows: list[Row], values: Mapping[str, Mapping[str, float]]) -> None:
    kind = CUE_KINDS[code]
    shown = [
        row for row in rows if code in values[row["file"]] and (row["target"] == "0" or is_fake_of(kind.sense, row))
    ]
    labels = np.array([int(row["target"]) for row in shown])
    numbers = np.array([values[row["file"]][code] for row in shown])
    if len(set(labels)) < 2:
        print(f"{code:24s} {len(shown):5d}  one class only")
        return
    scores = numbers if kind.suspicious == "high" else -numbers
    auc = bootstrap(labels, scores, groups=[row["identity"] for row in shown])
    low, high = np.percentile(numbers[labels == 0], [5, 95])
    print(
        f"{code:24s} {len(shown):5d} {int(labels.sum()):5d} {auc.value:6.2f}   {auc.low:.2f} … {auc.high:.2f} "
        f"{low:11.3g} … {high:.3g} {kind.unit}"
    )


if __name__ == "__main__":
    sys.exit(main())
