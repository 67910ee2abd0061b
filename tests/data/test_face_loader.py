"""Faces of clips become batches: the same luck whatever the order, forged where asked, nothing of padding, nothing left out in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffdv.augment.chain import AugmentSpec
from ffdv.data.face_loader import FaceChange, FaceRequest, landmarks_in_crops, make_face_loader
from ffdv.data.joint_loader import HEADS, JointRequest, head_labels, make_joint_loader
from ffdv.data.loader import LoaderSpec
from ffdv.data.shards import (
    FACES,
    SOUND,
    ShardIndex,
    ShardRow,
    Shards,
    encode_row,
    open_shards,
    write_index,
    write_part,
)
from ffdv.errors import ShardError
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.recipe import ExtractSpec
from ffdv.records import Clip, FacesSeen, FaceTrack, Features, MediaFacts, Samples

SIDE = 32
RATE = 8000
SPEC = LoaderSpec(batch_size=4, workers=0, balance_classes=False, window_seconds=1.0, hop_seconds=0.5)


def face(number: int, count: int) -> FaceTrack:
    """A face seen `count` times, eight a second; its crops are as bright as the time is late."""
    crops = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    crops[:] = (20 + 4 * np.arange(count) + 10 * number)[:, None, None, None]
    crops[:, ::4] += 30
    box = np.tile(np.float32([40, 40, 80, 90]), (count, 1))
    points = np.tile(np.float32([[50, 55], [70, 55], [60, 67], [52, 78], [68, 78]]), (count, 1, 1))
    return FaceTrack(number, np.arange(count) / 8, box, points, np.ones(count, np.float32), crops)


def clip_row(number: int) -> ShardRow:
    """Real, fake, real ...; clip 2 has no face, clip 3 no sound, clip 4 two faces, clip 5 failed."""
    clip = Clip(f"{number}.mp4", Path(f"/corpus/{number}.mp4"), number % 2, None, {"video_fake": "", "audio_fake": ""})
    if number == 5:
        return ShardRow(clip, reason="broken")
    if number == 7:
        clip = Clip(clip.name, clip.path, 1, None, {"video_fake": "0", "audio_fake": "0"})
    if number == 9:
        clip = Clip(
            clip.name, clip.path, 1, None, {"video_fake": "1", "audio_fake": "", "fake_segments": "[[1.5, 2.0]]"}
        )
    facts = MediaFacts(clip.path, 1000, "mp4", 2.0, None, (), (), encrypted=False, tags={})
    tracks = () if number == 2 else (face(0, 16 if number != 6 else 3),)
    tracks += (face(1, 9),) if number == 4 else ()
    tone = np.sin(np.arange(2 * RATE) / 20, dtype=np.float32) * 0.1
    sound = None if number == 3 else Samples(tone[None], RATE)
    return ShardRow(clip, Features(facts, sound, FacesSeen(tracks, 16, 16, (128, 128))))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("faces")
    rows = [clip_row(number) for number in range(10)]
    index = ShardIndex(
        extract=ExtractSpec(faces=STANDARD_FACES),
        data="/corpus",
        num_clips=len(rows),
        clips_per_part=64,
        fingerprint="faces",
        senses=(SOUND, FACES),
    )
    write_index(folder, index)
    write_part(folder, index, 0, [encode_row(row, index) for row in rows])
    return open_shards(folder)


def test_evaluation_takes_every_face_untouched_and_names_who_has_none(shards: Shards) -> None:
    loader = make_face_loader(shards, SPEC, FaceRequest(8, SIDE), training=False)

    batches = list(loader.epoch(1))

    names = [name for batch in batches for name in batch.names]
    assert names == ["0.mp4", "1.mp4", "3.mp4", "4.mp4", "4.mp4", "6.mp4", "7.mp4", "8.mp4", "9.mp4"]
    assert loader.left_out.sentence() == "left out: 1 failed in prepare, 1 without a face"
    lengths = [int(length) for batch in batches for length in batch.lengths]
    assert lengths == [8, 8, 8, 8, 8, 3, 8, 8, 8]
    few = next(batch for batch in batches if "6.mp4" in batch.names)
    place = few.names.index("6.mp4")
    assert not few.samples[place, 3:].any()
    assert few.samples[place, :3].any()
    assert tuple(few.samples.shape[1:]) == (8, 3, SIDE, SIDE)


def test_training_draws_other_moments_each_epoch_and_the_same_ones_again(shards: Shards) -> None:
    loader = make_face_loader(shards, SPEC, FaceRequest(4, SIDE), training=True)

    first, again, later = ({b.names: b.samples for b in loader.epoch(epoch)} for epoch in (1, 1, 2))

    assert first.keys() == again.keys()
    assert all((first[names] == again[names]).all() for names in first)
    assert {name for names in later for name in names} == {name for names in first for name in names}
    assert any(names not in later or not (first[names] == later[names]).all() for names in first)
    for batch in first.values():  # crops brighten with time: drawn frames stay in order
        brightness = batch[:, :, :, 1].float().mean((2, 3))
        assert (brightness.diff(dim=1)[brightness[:, 1:] > 0] > 0).all()


def test_only_reals_are_trained_on_and_half_of_them_come_forged(shards: Shards) -> None:
    forge = AugmentSpec(forge_picture=[{"name": "self_blend", "probability": 0.5}]).forge_picture_chain()
    request = FaceRequest(4, SIDE, FaceChange(forge=forge))
    loader = make_face_loader(shards, SPEC, request, training=True, train_on="real")

    drawn = [
        (name, label)
        for epoch in range(1, 15)
        for b in loader.epoch(epoch)
        for name, label in zip(b.names, b.labels.tolist(), strict=True)
    ]

    assert {name for name, _ in drawn} == {"0.mp4", "4.mp4", "6.mp4", "8.mp4"}
    assert 0.3 < np.mean([label for _, label in drawn]) < 0.7


def test_landmarks_lie_in_the_crop_where_they_lie_in_the_face() -> None:
    points = landmarks_in_crops(face(0, 2), STANDARD_FACES, (128, 128))

    assert points.shape == (2, 5, 2)
    assert ((points > 0) & (points < SIDE)).all()
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (points[:, 0, 1] < points[:, 3, 1]).all()


def test_shards_without_pictures_say_how_to_get_them(shards: Shards, tmp_path: Path) -> None:
    blind = Shards(shards.folder, shards.index.model_copy(update={"senses": (SOUND,)}))

    with pytest.raises(ShardError, match=r"a face was not looked for .* none of its clips has a picture"):
        make_face_loader(blind, SPEC, FaceRequest(4, SIDE), training=False)
    facts = [text.replace('"pictures": []', '"pictures": [{}]') for text in blind.table["facts"].to_pylist()]
    blind.table = blind.table.set_column(blind.table.schema.get_field_index("facts"), "facts", [facts])
    with pytest.raises(ShardError, match=r"a face was not looked for .* without --senses"):
        make_face_loader(blind, SPEC, FaceRequest(4, SIDE), training=False)


def test_what_is_known_of_each_sense_comes_from_the_manifest(shards: Shards) -> None:
    known = head_labels(shards)

    assert HEADS == ("overall", "picture", "voice", "pairing")
    np.testing.assert_array_equal(known[0], [0, 0, 0, 0])
    np.testing.assert_array_equal(known[1], [1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(known[7], [1, 0, 0, 1])
    np.testing.assert_array_equal(known[9], [1, 1, np.nan, np.nan])


def test_sound_and_face_of_one_window_share_their_time_and_either_may_be_missing(shards: Shards) -> None:
    loader = make_joint_loader(shards, SPEC, JointRequest(4, SIDE, RATE), training=False)

    rows = [
        (name, lengths.tolist(), float(start), seconds)
        for batch in loader.epoch(1)
        for name, lengths, start, seconds in zip(
            batch.names, batch.lengths, batch.start_seconds, batch.samples[1], strict=True
        )
    ]

    assert [start for name, _, start, _ in rows if name == "0.mp4"] == [0.0, 0.5, 1.0]
    assert [lengths for name, lengths, _, _ in rows if name == "0.mp4"] == [[4, RATE]] * 3
    assert [lengths for name, lengths, _, _ in rows if name == "2.mp4"] == [[0, RATE]] * 3
    assert all(lengths[1] == 0 and lengths[0] > 0 for name, lengths, _, _ in rows if name == "3.mp4")
    assert all(0 <= float(moment) < 1 for _, lengths, _, seconds in rows for moment in seconds[: lengths[0]])
    assert "failed in prepare" in loader.left_out.sentence()


def test_a_swapped_voice_is_a_fake_of_pairing_alone(shards: Shards) -> None:
    forge = AugmentSpec(forge_sound=[{"name": "delay_sound", "probability": 1.0}]).forge_sound_chain()
    loader = make_joint_loader(shards, SPEC, JointRequest(4, SIDE, RATE, forge_sound=forge), training=True)

    labels = {
        name: row.tolist() for batch in loader.epoch(1) for name, row in zip(batch.names, batch.labels, strict=True)
    }

    assert labels["0.mp4"] == [1, 0, 0, 1]
    assert labels["2.mp4"] == [0, 0, 0, 0]  # no face: no pairing to forge


def test_windows_of_a_partly_forged_clip_have_their_own_labels_in_every_head(shards: Shards) -> None:
    """Clip 9 shows a forged face in its last half second."""
    spec = SPEC.model_copy(update={"fake_seconds": 0.25})
    forge = AugmentSpec(forge_sound=[{"name": "delay_sound", "probability": 1.0}]).forge_sound_chain()
    loader = make_joint_loader(shards, spec, JointRequest(4, SIDE, RATE, forge_sound=forge), training=True, rows=[9])

    rows = [
        (float(start), row.tolist())
        for epoch in range(1, 40)
        for batch in loader.epoch(epoch)
        for start, row in zip(batch.start_seconds, batch.labels, strict=True)
    ]

    genuine, forged = (
        [row for start, row in rows if chosen(start)] for chosen in (lambda at: at <= 0.5, lambda at: at >= 0.75)
    )
    assert len(genuine) > 3
    assert len(forged) > 3
    assert all(row[:2] == [0, 0] for row in genuine)  # a fake's genuine stretch is not forged anew
    assert all(row[:2] == [1, 1] for row in forged)
    assert any(0 < row[0] == row[1] < 1 for _, row in rows)
    assert all(np.isnan(row[2]) for _, row in rows)  # nobody says what the voice is
