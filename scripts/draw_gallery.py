"""Draw docs/augmentations.png: the gallery of a drawn face with a made-up voice, so that no real person is in the docs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ffdv.data.gallery_page import gallery
from ffdv.data.sources.drawn_face import draw_face
from ffdv.data.sources.synthetic import CLIP_SECONDS, FPS, RATE, Speaker, speak
from ffdv.media.write import write_media
from ffdv.records import Samples


def write_person(path: Path, seed: int, skin: tuple[int, int, int]) -> Path:
    """A clip of one drawn person; the mouth opens with the voice."""
    rng = np.random.default_rng(seed)
    sound, opening = speak(Speaker.drawn(rng), rng)
    moments = (np.arange(round(CLIP_SECONDS * FPS)) / FPS * RATE).astype(int)
    frames = [draw_face(256, mouth=float(opening[moment]), skin=skin) for moment in moments]
    return write_media(path, sound=Samples(sound[None], RATE), frames=frames, fps=FPS)


def main() -> None:
    """Two drawn people: one is shown, the other lends voice and face."""
    docs = Path(__file__).resolve().parents[1] / "docs"
    with tempfile.TemporaryDirectory() as folder:
        mine = write_person(Path(folder) / "a drawn face.mp4", 1, (205, 160, 130))
        theirs = write_person(Path(folder) / "other.mp4", 2, (120, 85, 65))
        gallery(mine, out=docs / "augmentations.png", other=theirs)


if __name__ == "__main__":
    main()
