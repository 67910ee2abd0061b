"""Ten minutes, thirty people, one frame, no sound, no face: each kind judges what it can, alike by both roads, and says what is lacking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_kinds import RATE, features_of, small

from ffdv.data.shards import (
    FACES,
    MOTION,
    SOUND,
    ShardIndex,
    ShardRow,
    Shards,
    encode_row,
    open_shards,
    write_index,
    write_part,
)
from ffdv.detect.network import Network
from ffdv.detect.scorers import SCORERS
from ffdv.errors import StreamMissing
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.motion import STANDARD_MOTION
from ffdv.features.recipe import ExtractSpec
from ffdv.records import Clip, FacesSeen, Features, Samples
from ffdv.training.evaluate import score_run
from ffdv.training.plan import recipe_toml
from ffdv.training.run import train

NO_FACES = FacesSeen((), 6, 0, (64, 64))
TRAINED_ON = 32


def odd_features() -> dict[str, Features]:
    usual = features_of(100)
    assert usual.faces is not None
    assert usual.sound is not None
    (track,) = usual.faces.tracks
    spread = np.resize(np.arange(len(track.seconds)), 32)
    over_ten_minutes = replace(track.chosen(spread), seconds=np.linspace(0.0, 599.0, 32))
    ten_minutes = np.resize(usual.sound.mono(), 600 * RATE)[None]
    one = replace(usual.faces, tracks=(track.chosen(np.array([0])),))
    crowd = tuple(replace(track, track_id=number) for number in range(30))
    return {
        "ten minutes": replace(
            usual, sound=Samples(ten_minutes, RATE), faces=replace(usual.faces, tracks=(over_ten_minutes,))
        ),
        "thirty people": replace(usual, faces=replace(usual.faces, tracks=crowd)),
        "third of a second": replace(usual, sound=Samples(usual.sound.values[:, : RATE // 3], RATE)),
        "no sound": replace(usual, sound=None),
        "no face": replace(usual, faces=NO_FACES),
        "one frame": replace(usual, faces=one, motion=None),
        "one frame, no sound": replace(usual, sound=None, faces=one, motion=None),
        "sound alone": replace(usual, faces=None, motion=None),
        "nothing": replace(usual, sound=None, faces=NO_FACES, motion=None),
    }


NEEDS = {
    "sound": lambda clip: clip.sound is not None,
    "faces": lambda clip: bool(clip.faces and clip.faces.tracks),
    "motion": lambda clip: clip.motion is not None,
    "joint": lambda clip: clip.sound is not None or bool(clip.faces and clip.faces.tracks),
    "late": lambda clip: clip.sound is not None or bool(clip.faces and clip.faces.tracks) or clip.motion is not None,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Usual clips to train on, then the odd ones."""
    folder = tmp_path_factory.mktemp("odd") / "shards"
    folder.mkdir()
    rows = [(f"{number}", features_of(number)) for number in range(TRAINED_ON)] + list(odd_features().items())
    index = ShardIndex(
        extract=ExtractSpec(faces=STANDARD_FACES, motion=STANDARD_MOTION),
        data="/corpus",
        num_clips=len(rows),
        clips_per_part=64,
        fingerprint="odd",
        senses=(SOUND, FACES, MOTION),
    )
    write_index(folder, index)
    cells = []
    for place, (name, features) in enumerate(rows):
        split = "odd" if place >= TRAINED_ON else "val" if place >= 20 else "train"
        clip = Clip(name, Path(f"/corpus/{name}"), place % 2, split, {"identity": f"person{place}"})
        cells.append(encode_row(ShardRow(clip, features), index))
    write_part(folder, index, 0, cells)
    return open_shards(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEEDS)
def test_each_kind_judges_what_it_can_of_odd_clips_alike_by_both_roads(
    shards: Shards, tmp_path: Path, kind: str
) -> None:
    tables: dict[str, dict[str, object]] = {
        "loader": {"hop_seconds": 0.25},
        "training": {"epochs": 1, "aggregate": 1.0},
    }
    if kind == "late":
        for member in ("sound", "faces", "motion"):
            (tmp_path / f"{member}.toml").write_text(recipe_toml(small(member, training={"epochs": 1})))
        tables["fusion"] = {"members": [str(tmp_path / f"{member}.toml") for member in ("sound", "faces", "motion")]}
    run = train(small(kind, **tables), data=shards.folder, out=tmp_path / "run").folder
    network = Network(run / "model.onnx")

    scored = score_run(run / "best.safetensors", shards, np.arange(TRAINED_ON, len(shards))).scored
    odd = {name: shards.features(TRAINED_ON + place) for place, name in enumerate(odd_features())}
    able = [name for name, features in odd.items() if NEEDS[kind](features)]

    assert list(scored.names) == able
    assert np.isfinite(scored.logits).all()
    for name, logit in zip(scored.names, scored.logits.tolist(), strict=True):
        assert SCORERS[kind].logit(odd[name], network) == pytest.approx(logit, abs=2e-3), name
    for name in odd.keys() - set(able):
        with pytest.raises(StreamMissing) as told:
            SCORERS[kind].logit(odd[name], network)
        assert len(told.value.reason) > 10, name
