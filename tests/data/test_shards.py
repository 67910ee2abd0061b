"""What is written is what is read: numbers exactly, sound within half a 16-bit step, pictures within JPEG's loss."""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.data.blobs import SoundCodec, decode_picture, decode_sound, encode_picture, encode_sound, most_samples
from ffdv.data.seen import data_hash
from ffdv.data.shards import (
    FACES,
    LIGHT,
    OUTSIDE,
    SOUND,
    ClipPaths,
    EncodedRow,
    ShardIndex,
    ShardRow,
    encode_row,
    open_shards,
    part_is_done,
    part_path,
    write_index,
    write_part,
)
from ffdv.errors import ExtraMissing, ShardError
from ffdv.features.kept_sound import to_int16
from ffdv.features.recipe import ExtractSpec
from ffdv.records import (
    Clip,
    FacesSeen,
    FaceTrack,
    Features,
    MediaFacts,
    Note,
    PictureFacts,
    Samples,
    SoundFacts,
)

ROOT = Path("/corpus")


def smooth_picture(seed: int, side: int = 48) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    return (127 + 60 * np.sin(3 * x + seed)[..., None] + 60 * np.cos(2 * y)[..., None] * [1, 0.5, -1]).astype(np.uint8)


def track(number: int, count: int = 3) -> FaceTrack:
    rng = np.random.default_rng(number)
    return FaceTrack(
        number,
        np.arange(count) / 8,
        rng.uniform(0, 99, (count, 4)).astype(np.float32),
        np.where(rng.uniform(size=(count, 5, 2)) < 0.2, np.nan, 7.5).astype(np.float32),
        rng.uniform(size=count).astype(np.float32),
        np.stack([smooth_picture(number + frame) for frame in range(count)]),
    )


def row(number: int, *, faces: bool = False) -> ShardRow:
    clip = Clip(
        f"视频{number}.mp4",
        ROOT / f"sub/视频{number}.mp4",
        (0, 1, None)[number % 3],
        "dev" if number % 2 else None,
        {"method": f"m{number}", "identity": "é"},
    )
    if number % 4 == 3:
        return ShardRow(clip, reason="not media: 'moov' is missing\n(second line)")
    picture = PictureFacts(0, "h264", 640, 360, 25.0, "yuv420p", 90, 1.0, 0.0, 2.5, None, 62)
    heard = SoundFacts(1, "aac", 16_000, 2, -0.021, 2.4, 64_000, "LC")
    facts = MediaFacts(
        clip.path, 12345, "mp4", 2.5, None, (picture,), (heard,), False, {"encoder": "x"}, (Note("a", "b"),)
    )
    samples = np.random.default_rng(number).uniform(-0.9, 0.9, (1, 500 + number)).astype(np.float32)
    sound = None if number % 4 == 2 else Samples(samples, 16_000, 0.25)
    seen = FacesSeen((track(number), track(number + 1, 1)), 20, 3, (360, 640)) if faces else None
    return ShardRow(
        clip, Features(facts, sound, seen, {"level_db": -20.5 - number, "rate": 1 / 3}, (Note("no_sound", "…"),))
    )


def write_shards(
    folder: Path, rows: list[ShardRow], *, per_part: int = 4, codec: SoundCodec = "flac", faces: bool = False
) -> ShardIndex:
    index = ShardIndex(
        extract=ExtractSpec(),
        sound_codec=codec,
        data=str(ROOT),
        num_clips=len(rows),
        clips_per_part=per_part,
        fingerprint="f",
        senses=(SOUND, FACES) if faces else (SOUND,),
    )
    folder.mkdir(exist_ok=True)
    write_index(folder, index)
    for part in range(index.num_parts):
        write_part(folder, index, part, [encode_row(rows[number], index) for number in index.part_rows(part)])
    return index


@pytest.mark.parametrize("codec", ["flac", "int16"])
def test_features_come_back(tmp_path: Path, codec: SoundCodec) -> None:
    rows = [row(number, faces=True) for number in range(10)]
    write_shards(tmp_path, rows, codec=codec, faces=True)

    shards = open_shards(tmp_path)

    for number, written in enumerate(rows):
        if written.features is None:
            continue
        read = shards.features(number)
        assert (read.facts, read.notes, read.probes) == (
            written.features.facts,
            written.features.notes,
            written.features.probes,
        )
        if written.features.sound is None:
            assert read.sound is None
        else:
            assert (read.sound.rate, read.sound.start_seconds) == (16_000, 0.25)  # type: ignore[union-attr]
            np.testing.assert_allclose(read.sound.values, written.features.sound.values, atol=0.6 / 32767)  # type: ignore[union-attr]


def test_faces_come_back(tmp_path: Path) -> None:
    written = row(0, faces=True)
    write_shards(tmp_path, [written], faces=True)

    read = open_shards(tmp_path).features(0).faces

    assert read is not None
    assert (read.frames_looked_at, read.frames_with_face, read.picture_size) == (20, 3, (360, 640))
    for one, other in zip(read.tracks, written.features.faces.tracks, strict=True):  # type: ignore[union-attr]
        assert one.track_id == other.track_id
        for name in ("seconds", "boxes", "landmarks", "scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert len(one.crops) == len(other.crops)
        assert np.abs(one.crops.astype(int) - other.crops).max(initial=0) <= 6


def test_light_columns_need_no_blobs(tmp_path: Path) -> None:
    rows = [row(number) for number in range(10)]
    index = write_shards(tmp_path, rows)
    shards = open_shards(tmp_path)
    for part in range(index.num_parts):
        part_path(tmp_path, part, SOUND).unlink()

    assert len(shards) == 10
    assert shards.names == tuple(written.clip.name for written in rows)
    assert shards.labels.tolist() == [0, 1, -1] * 3 + [0]
    assert shards.splits == (None, "dev") * 5
    assert shards.failed.tolist() == [number % 4 == 3 for number in range(10)]
    assert shards.reasons[3] == rows[3].reason
    assert shards.reasons[0] == ""
    assert shards.group_names == ("identity", "method")
    assert shards.group("generator") == tuple(f"m{number}" for number in range(10))
    assert shards.group("nothing") == (None,) * 10
    np.testing.assert_array_equal(shards.probe("level_db"), [np.nan if n % 4 == 3 else -20.5 - n for n in range(10)])
    assert shards.probe_names == ("level_db", "rate")
    np.testing.assert_allclose(shards.sound_seconds, [0 if n % 4 in {2, 3} else (500 + n) / 16_000 for n in range(10)])
    assert shards.clips() == tuple(written.clip for written in rows)


def test_pandas_reads_the_light_columns_as_one_table(tmp_path: Path) -> None:
    write_shards(tmp_path, [row(number) for number in range(10)])

    table = pd.read_parquet(tmp_path / LIGHT)

    assert table["name"].tolist() == [f"视频{number}.mp4" for number in range(10)]


def test_a_failed_clip_has_no_features_but_its_reason(tmp_path: Path) -> None:
    write_shards(tmp_path, [row(3)])

    with pytest.raises(ShardError, match="moov"):
        open_shards(tmp_path).features(0)


def test_shards_travel_to_workers_without_their_open_files(tmp_path: Path) -> None:
    write_shards(tmp_path, [row(number) for number in range(6)])
    shards = open_shards(tmp_path)
    first = shards.sound(0)

    again = pickle.loads(pickle.dumps(shards))  # noqa: S301 -- our own bytes

    np.testing.assert_array_equal(again.sound(0).values, first.values)  # type: ignore[union-attr]


def test_only_so_many_parts_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffdv.data.shards.MAX_OPEN_PARTS", 2)
    write_shards(tmp_path, [row(4 * number) for number in range(12)], per_part=2)
    shards = open_shards(tmp_path)

    for number in [*range(12), *range(12)]:
        shards.sound(number)

    assert len(shards._open_parts) == 2


@pytest.mark.parametrize("codec", ["flac", "int16"])
def test_a_sound_of_minutes_takes_several_rows_and_comes_back_whole(tmp_path: Path, codec: SoundCodec) -> None:
    values = np.random.default_rng(0).uniform(-0.9, 0.9, (1, 150 * 4000)).astype(np.float32)
    first, long, last = row(0), row(1), row(4)
    long = replace(long, features=replace(long.features, sound=Samples(values, 4000, 0.25)))  # type: ignore[type-var]
    write_shards(tmp_path, [first, long, row(3), last], codec=codec)

    shards = open_shards(tmp_path)

    assert pq.read_metadata(part_path(tmp_path, 0, SOUND)).num_rows == 1 + 3 + 1 + 1
    assert shards.sound_seconds.tolist()[1] == 150.0
    np.testing.assert_allclose(shards.sound(1).values, values, atol=0.6 / 32767)  # type: ignore[union-attr]
    assert shards.sound(1).start_seconds == 0.25  # type: ignore[union-attr]
    assert shards.sound(3).duration_seconds == last.features.sound.duration_seconds  # type: ignore[union-attr]
    assert pd.read_parquet(tmp_path / SOUND)["name"].tolist() == [
        first.clip.name,
        *[long.clip.name] * 3,
        "视频3.mp4",
        "视频4.mp4",
    ]


def test_a_sound_of_minutes_in_one_row_as_it_was_once_stored_is_read(tmp_path: Path) -> None:
    long = row(1)
    values = np.random.default_rng(0).uniform(-0.9, 0.9, (1, 90 * 4000)).astype(np.float32)
    index = write_shards(tmp_path, [long])
    blob = to_int16(values[0], 1.0).tobytes()
    once = {"rate": 4000, "start_seconds": 0.25, "scale": 1.0, "blob": blob}
    index = index.model_copy(update={"sound_codec": "int16"})
    write_index(tmp_path, index)
    write_part(tmp_path, index, 0, [EncodedRow(encode_row(long, index).light, {SOUND: (once,)})])

    np.testing.assert_allclose(open_shards(tmp_path).sound(0).values, values, atol=0.6 / 32767)  # type: ignore[union-attr]


def test_a_sound_without_samples_is_no_sound(tmp_path: Path) -> None:
    empty = row(0)
    empty = replace(empty, features=replace(empty.features, sound=Samples(np.zeros((1, 0), np.float32), 16_000)))  # type: ignore[type-var]
    write_shards(tmp_path, [empty])

    assert open_shards(tmp_path).sound(0) is None


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    rows = [row(number, faces=True) for number in range(6)]
    for name in ("a", "b"):
        write_shards(tmp_path / name, rows, faces=True)

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_part_is_written_row_by_row_and_holds_none(tmp_path: Path) -> None:
    """128 clips of ten minutes would be 1.5 GB."""
    index = write_shards(tmp_path / "a", [row(number) for number in range(8)], per_part=8)
    alive: list[weakref.ref[EncodedRow]] = []
    most = 0

    def rows() -> Iterator[EncodedRow]:
        nonlocal most
        for number in range(8):
            encoded = encode_row(row(number), index)
            alive.append(weakref.ref(encoded))
            most = max(most, sum(seen() is not None for seen in alive))
            yield encoded

    write_part(tmp_path / "a", index, 0, rows())

    assert most <= 2
    assert len(open_shards(tmp_path / "a")) == 8


def test_a_part_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    index = write_shards(tmp_path / "a", [row(number) for number in range(8)])

    def rows() -> Iterator[EncodedRow]:
        yield encode_row(row(0), index)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_part(tmp_path / "b", index, 0, rows())

    assert [path for path in (tmp_path / "b").rglob("*") if path.is_file()] == []


@settings(max_examples=30, deadline=None)
@given(
    peak=st.floats(1e-4, 1e4),
    count=st.integers(1, 3000),
    codec=st.sampled_from(["flac", "int16"]),
    rate=st.sampled_from([4000, 22_050, 192_000]),
)
def test_sound_of_any_level_keeps_sixteen_bits_and_is_never_clipped(
    peak: float, count: int, codec: SoundCodec, rate: int
) -> None:
    values = np.random.default_rng(count).uniform(-1, 1, (1, count)).astype(np.float32) * np.float32(peak)

    read = decode_sound(encode_sound(Samples(values, rate, -0.5), codec), codec)

    assert read is not None
    assert (read.rate, read.start_seconds) == (rate, -0.5)
    np.testing.assert_allclose(read.values, values, atol=0.51 * max(1.0, peak) / 32767)


def test_what_is_no_shards_folder_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="ffdv prepare"):
        open_shards(tmp_path)
    (tmp_path / "shards.json").write_text('{"format": "other"}')
    with pytest.raises(ShardError, match="not written by ffdv"):
        open_shards(tmp_path)
    (tmp_path / "shards.json").write_text('{"format": "ffdv-shards", "version": 99}')
    with pytest.raises(ShardError, match="version 99"):
        open_shards(tmp_path)
    (tmp_path / "shards.json").write_text('{"format": "ffdv-shards", "version": 1}')
    with pytest.raises(ShardError, match="damaged"):
        open_shards(tmp_path)
    (tmp_path / "shards.json").write_text("{")
    with pytest.raises(ShardError, match="not readable"):
        open_shards(tmp_path)


def test_an_unfinished_folder_says_how_far_it_is(tmp_path: Path) -> None:
    write_shards(tmp_path, [row(number) for number in range(10)])
    part_path(tmp_path, 1).unlink()

    with pytest.raises(ShardError, match="only 2 of 3 parts"):
        open_shards(tmp_path)


def test_a_flipped_bit_in_a_sound_is_noticed(tmp_path: Path) -> None:
    write_shards(tmp_path, [row(0)])
    path = part_path(tmp_path, 0, SOUND)
    content = bytearray(path.read_bytes())
    content[content.index(b"fLaC") + 300] ^= 4
    path.write_bytes(content)

    with pytest.raises(ShardError, match="damaged"):
        open_shards(tmp_path).sound(0)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path, [row(0)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ExtraMissing, match=r"pip install '\.\[train\]' in the project's folder"):
        open_shards(tmp_path)


@pytest.mark.parametrize("damage", ["truncate", "foreign", "swap"])
def test_a_part_that_is_damaged_or_of_another_prepare_is_refused(tmp_path: Path, damage: str) -> None:
    index = write_shards(tmp_path, [row(number) for number in range(8)])
    path = part_path(tmp_path, 1, SOUND)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "foreign":
        foreign = index.model_copy(update={"fingerprint": "other"})
        write_part(tmp_path, foreign, 1, [encode_row(row(number), foreign) for number in range(4, 8)])
    else:
        path.write_bytes(part_path(tmp_path, 0, SOUND).read_bytes())

    with pytest.raises(ShardError, match=r"00001\.parquet"):
        open_shards(tmp_path).sound(5)
    with pytest.raises(ShardError, match="delete it"):
        part_is_done(tmp_path, index, 1)
    assert part_is_done(tmp_path, index, 0)


def rewritten(path: Path, changed: Callable[[pa.Table], pa.Table], **how: Any) -> None:
    """A part with another content, its mark that it belongs to the index kept; a row group stays one."""
    with pq.ParquetFile(path) as file:
        groups = [changed(file.read_row_group(number)) for number in range(file.num_row_groups)]
    with pq.ParquetWriter(path, groups[0].schema, **how) as writer:
        for group in groups:
            writer.write_table(group)


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize("cell", ["/home/a.mp4", "../../home/a.mp4", "sub/../../a.mp4", "../corpus2/a.mp4"])
def test_a_row_that_leads_out_of_the_datas_folder_leads_to_nothing(tmp_path: Path, cell: str) -> None:
    write_shards(tmp_path, [row(0), row(3)])
    rewritten(part_path(tmp_path, 0), lambda table: with_column(table, "path", [cell, cell]))

    clips = open_shards(tmp_path).clips()

    assert [clip.name for clip in clips] == [row(0).clip.name, row(3).clip.name]
    assert all("FFDV_DATA_ROOTS" in str(clip.path) and clip.path.is_relative_to(ROOT) for clip in clips)


def test_a_clip_in_a_folder_that_is_trusted_by_name_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    elsewhere.mkdir()
    (elsewhere / "a.mp4").write_bytes(b"x")
    data.mkdir()
    cell = os.path.relpath(elsewhere / "a.mp4", data)

    assert not ClipPaths(str(data))(cell).exists()
    monkeypatch.setenv("FFDV_DATA_ROOTS", str(elsewhere))
    path_of = ClipPaths(str(data))
    assert path_of(cell).samefile(elsewhere / "a.mp4")
    assert path_of("sub/../b.mp4") == data / "sub/../b.mp4"


def test_a_link_in_a_trusted_folder_leads_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, secret = tmp_path / "elsewhere", tmp_path / "secret.mp4"
    elsewhere.mkdir()
    secret.write_bytes(b"x")
    (elsewhere / "a.mp4").write_bytes(b"x")
    (elsewhere / "b.mp4").symlink_to(secret)
    (elsewhere / "loop.mp4").symlink_to("loop.mp4")
    monkeypatch.setenv("FFDV_DATA_ROOTS", str(elsewhere))
    (tmp_path / "data").mkdir()
    path_of = ClipPaths(str(tmp_path / "data"))

    assert path_of("../elsewhere/a.mp4").exists()
    for cell in ("b.mp4", "loop.mp4", "..", "../secret.mp4", "a\0.mp4"):
        assert OUTSIDE in path_of(f"../elsewhere/{cell}").parts


def test_listing_clips_looks_at_each_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    resolve = Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: (looked.append(self), resolve(self, strict))[1])
    monkeypatch.setenv("FFDV_DATA_ROOTS", str(tmp_path))
    path_of = ClipPaths("/corpus")

    for number in range(100):
        path_of(os.path.relpath(tmp_path / f"{number}.mp4", "/corpus"))

    assert len(looked) == 3  # the data's folder, the trusted one, and where the clips lie


def test_a_trusted_folder_that_is_gone_stops_no_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path, [row(0)])
    rewritten(part_path(tmp_path, 0), lambda table: with_column(table, "path", ["../gone/a.mp4"]))
    monkeypatch.setenv("FFDV_DATA_ROOTS", "/gone")

    (clip,) = open_shards(tmp_path).clips()

    assert "FFDV_DATA_ROOTS" in str(clip.path)
    assert data_hash(open_shards(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        '{"format":' + "[" * 100_000,
        '{"num_clips": -5}',
        '{"clips_per_part": 0}',
        '{"clips_per_part": 1, "num_clips": 1000000000000}',
        '{"num_clips": 1' + "0" * 5000 + "}",
    ],
)
def test_an_index_that_cannot_be_is_one_sentence(tmp_path: Path, content: str) -> None:
    good = write_shards(tmp_path, [row(0)]).model_dump_json()
    (tmp_path / "shards.json").write_text(good[:-1] + "," + content[1:] if content.endswith("}") else content)

    with pytest.raises(ShardError, match=r"shards\.json: (damaged|not readable)"):
        open_shards(tmp_path)


def test_an_index_that_promises_millions_of_parts_costs_no_time(tmp_path: Path) -> None:
    index = write_shards(tmp_path, [row(0)])
    write_index(tmp_path, index.model_copy(update={"num_clips": 1_000_000_000, "clips_per_part": 1}))
    began = time.process_time()

    with pytest.raises(ShardError, match="only 1 of 1000000000 parts"):
        open_shards(tmp_path)
    assert time.process_time() - began < 1.0


def test_a_pipe_in_place_of_the_index_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shards.json")

    with pytest.raises(ShardError, match="no regular file"):
        open_shards(tmp_path)


def test_light_cells_that_unfold_to_gigabytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffdv.data.shards.MOST_LIGHT_BYTES", 1 << 22)
    write_shards(tmp_path, [row(number) for number in range(100)], per_part=100)
    assert len(open_shards(tmp_path).names) == 100

    for text in ("A" * (1 << 23), "A" * (1 << 20)):  # one that is too long, and many that are together
        rewritten(part_path(tmp_path, 0), lambda table: with_column(table, "reason", [text] * 100), compression="zstd")  # noqa: B023
        assert part_path(tmp_path, 0).stat().st_size < 100_000
        with pytest.raises(ShardError, match=r"00000\.parquet: holds more than names"):
            open_shards(tmp_path).names  # noqa: B018


def blob_of(samples: int, channels: int = 1) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, np.zeros((samples, channels), np.int16), 16_000, format="FLAC")
    return sink.getvalue()


def with_longest(folder: Path, sample_rate: int, seconds: float, codec: SoundCodec = "flac") -> None:
    """Shards of one clip that say they were prepared so."""
    index = write_shards(folder, [row(0)], codec=codec)
    extract = ExtractSpec(max_sample_rate=sample_rate, max_seconds=seconds)
    write_index(folder, index.model_copy(update={"extract": extract}))


def test_a_small_cell_of_very_much_sound_is_refused(tmp_path: Path) -> None:
    with_longest(tmp_path, 16_000, 3.0)
    assert open_shards(tmp_path).sound(0) is not None

    for blob in (blob_of(64_001), blob_of(100, 8), b"no FLAC"):
        rewritten(part_path(tmp_path, 0, SOUND), lambda table: with_column(table, "blob", [blob]))  # noqa: B023
        with pytest.raises(ShardError, match=r"sound.00000\.parquet: damaged"):
            open_shards(tmp_path).sound(0)


def test_a_long_cell_without_compression_is_refused_too(tmp_path: Path) -> None:
    with_longest(tmp_path, 16_000, 3.0, "int16")
    rewritten(part_path(tmp_path, 0, SOUND), lambda table: with_column(table, "blob", [bytes(2 * 64_001)]))

    with pytest.raises(ShardError, match=r"damaged .sound of 64001 samples"):
        open_shards(tmp_path).sound(0)


def test_what_prepare_may_keep_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert most_samples(ExtractSpec(max_sample_rate=48_000, max_seconds=7200.0)) >= 48_000 * 7200
    assert most_samples(ExtractSpec(max_seconds=600.0)) < 22_050 * 602
    monkeypatch.setattr("ffdv.data.blobs.MOST_SAMPLES", 100_000)
    with_longest(tmp_path, 192_000, 1e12)  # as a stranger might

    rewritten(part_path(tmp_path, 0, SOUND), lambda table: with_column(table, "blob", [blob_of(100_000)]))
    assert open_shards(tmp_path).sound(0) is not None
    rewritten(part_path(tmp_path, 0, SOUND), lambda table: with_column(table, "blob", [blob_of(100_001)]))
    with pytest.raises(ShardError, match="damaged"):
        open_shards(tmp_path).sound(0)


def test_a_clip_that_unfolds_to_gigabytes_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, [row(0)])
    blob = bytes(1 << 20)
    rewritten(
        part_path(tmp_path, 0, SOUND),
        lambda table: pa.concat_tables([with_column(table, "blob", [blob])] * 3000),
        compression="zstd",
    )

    with pytest.raises(ShardError, match="a clip of"):
        open_shards(tmp_path).sound(0)


def test_a_crop_of_very_many_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="a picture of 3000x3000 pixels"):
        decode_picture(encode_picture(np.zeros((3000, 3000, 3), np.uint8)))
