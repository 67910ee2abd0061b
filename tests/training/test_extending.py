"""Every block of docs/extending.md runs as it stands, in a script of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

import ffdv
from ffdv.data.sources.drawn_face import draw_face
from ffdv.data.sources.synthetic import CLIP_SECONDS, FPS, RATE, Speaker, speak
from ffdv.media.write import write_media
from ffdv.records import Samples
from ffdv.training.run import train

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def write_person(path: Path) -> Path:
    rng = np.random.default_rng(1)
    sound, opening = speak(Speaker.drawn(rng), rng)
    moments = (np.arange(round(CLIP_SECONDS * FPS)) / FPS * RATE).astype(int)
    frames = [draw_face(256, mouth=float(opening[moment])) for moment in moments]
    return write_media(path, sound=Samples(sound[None], RATE), frames=frames, fps=FPS)


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    shards = write_shards(tmp_path / "shards", corpus_clips())
    train(tiny_recipe(), data=shards, out=tmp_path / "run", epochs=1, export=False)
    write_person(tmp_path / "clip.mp4")
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ffdv.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert len(blocks) == 7
    assert "224, 224, 3)" in done.stdout
    assert "EvaluationTable('run-mine' on 'shards'" in done.stdout
    assert "p = " in done.stdout
    assert (tmp_path / "run-mine" / "model.onnx").is_file()
