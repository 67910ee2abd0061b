"""Forgeries on disk: labelled, the same for the same seed, nothing touched that was not forged."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffdv.data.forge import (
    Forger,
    Material,
    _face_at,
    _file_name,
    _forge_sound,
    _laid_over,
    _read_rows,
    forge,
    read_material,
)
from ffdv.data.manifest import load_corpus
from ffdv.data.pool import Part
from ffdv.data.sources.drawn_face import draw_face
from ffdv.data.sources.synthetic import Speaker, speak
from ffdv.errors import ManifestError, RecipeError
from ffdv.features.crops import Square
from ffdv.media.read import open_media, read_samples
from ffdv.media.write import write_media
from ffdv.records import Clip, FaceTrack, Samples

RATE, FPS = 16_000, 12.5


def read_samples_of(path: Path) -> np.ndarray:
    with open_media(path) as media:
        return read_samples(media, rate=RATE).mono()


def write_person(path: Path, seed: int, *, picture: bool = True) -> Path:
    rng = np.random.default_rng(seed)
    sound, opening = speak(Speaker.drawn(rng), rng)
    sound, moments = sound[:RATE], (np.arange(12) / FPS * RATE).astype(int)
    # 192: x264 does not always give the same bytes for pictures of 96 pixels (docs/log.md).
    frames = [draw_face(192, mouth=float(opening[moment])) for moment in moments] if picture else None
    return write_media(path, sound=Samples(sound[None], RATE), frames=frames, fps=FPS)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    for name, seed in (("ada", 1), ("bob", 2)):
        write_person(folder / f"{name}.mp4", seed)
    write_person(folder / "cleo.wav", 3, picture=False)
    (folder / "fake.wav").write_bytes((folder / "cleo.wav").read_bytes())
    (folder / "broken.wav").write_bytes(b"no sound at all")
    (folder / "labels.csv").write_text(
        "file,label,identity\nada.mp4,0,ada\nbob.mp4,0,bob\ncleo.wav,0,cleo\nbroken.wav,0,x\nfake.wav,1,cleo\n"
    )
    return folder


METHODS = ("lpc_copy", "jitter_face", "drop_frames", "swap_sound")


def run_forger(people: Path, out: Path, *, methods: tuple[str, ...] = METHODS, seed: int = 0) -> list:
    """The work of one part without the processes around it."""
    out.mkdir()
    sources = [clip for clip in load_corpus(people).clips if clip.label == 0]
    others = tuple(sources[(place + 1) % 2].path for place in range(len(sources)))
    work = Forger(out, methods, others, len(methods), seed, with_real=True, max_seconds=2.0)
    work(Part(0, tuple(enumerate(sources))), lambda *_: None)
    return list(_read_rows(work.part_path(0)))


@pytest.fixture(scope="module")
def forged(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    out = tmp_path_factory.mktemp("forged") / "out"
    return out, run_forger(people, out)


def test_each_clip_is_forged_by_what_its_streams_allow(forged: tuple[Path, list]) -> None:
    _, rows = forged

    by_source = {
        source: {row.method for row in rows if row.source == source and row.name} for source in ("ada.mp4", "cleo.wav")
    }
    assert by_source == {"ada.mp4": {"real", *METHODS}, "cleo.wav": {"real", "lpc_copy"}}


def test_labels_say_what_is_forged_and_when(forged: tuple[Path, list]) -> None:
    _, rows = forged

    for row in rows:
        senses = (row.audio_fake, row.video_fake, row.mismatch)
        if row.reason:
            continue
        assert row.target == (row.method != "real") == bool(row.segments)
        expected = {"real": (0, 0, 0), "lpc_copy": (1, 0, 0), "swap_sound": (0, 0, 1)}.get(row.method, (0, 1, 0))
        assert senses == expected


def test_a_broken_source_is_a_row_with_a_reason(forged: tuple[Path, list]) -> None:
    _, rows = forged

    broken = [row for row in rows if row.source == "broken.wav"]
    assert len(broken) == 1
    assert broken[0].reason
    assert not broken[0].name


def test_real_and_forged_clips_come_from_one_encoder(forged: tuple[Path, list]) -> None:
    out, _ = forged

    real, fake = (read_material(out / method / "ada.mp4", max_seconds=2.0) for method in ("real", "swap_sound"))
    assert real.fps == fake.fps
    assert real.frames is not None
    assert fake.frames is not None
    np.testing.assert_array_equal(real.frames, fake.frames)  # only the sound was swapped
    assert real.sound is not None
    assert fake.sound is not None
    assert np.abs(real.sound.values - fake.sound.values).max() > 0.05


def test_the_same_seed_gives_the_same_files(people: Path, forged: tuple[Path, list], tmp_path: Path) -> None:
    out, _ = forged

    run_forger(people, tmp_path / "again")
    for path in out.rglob("*.mp4"):
        assert (tmp_path / "again" / path.relative_to(out)).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_forge_writes_a_manifest_that_loads(people: Path, tmp_path: Path) -> None:
    summary = forge(people, out=tmp_path / "out", methods=["lpc_copy"], workers=1, max_seconds=1.0)

    corpus = load_corpus(tmp_path / "out")
    assert sorted(clip.label for clip in corpus.clips if clip.label is not None) == [0, 0, 0, 1, 1, 1]
    assert {clip.groups["identity"] for clip in corpus.clips} == {"ada", "bob", "cleo"}
    assert [row.source for row in summary.failures] == ["broken.wav"]
    assert not list((tmp_path / "out").glob(".part*"))
    with (tmp_path / "out" / "manifest.csv").open() as stream:
        assert all(row["segments"] != "[]" for row in csv.DictReader(stream) if row["label"] == "1")
    with pytest.raises(ManifestError, match="holds forgeries already"):
        forge(people, out=tmp_path / "out", methods=["lpc_copy"], workers=1)


def test_unknown_methods_and_corpora_of_fakes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.wav").write_bytes(b"RIFF")
    (tmp_path / "labels.csv").write_text("file,label\nf.wav,1\n")

    with pytest.raises(RecipeError, match="nearest: self_blend"):
        forge(tmp_path, out=tmp_path / "o", methods=["selfblend"])
    with pytest.raises(ManifestError, match="labelled fake"):
        forge(tmp_path, out=tmp_path / "o")


def test_pixels_that_no_mask_touches_stay_exactly_as_they_are() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    new = np.full((40, 40, 3), 9, np.uint8)
    mask = np.zeros((40, 40), np.float32)
    mask[10:30, 10:30] = 1.0

    for square in (Square(50, 40, 40), Square(5, 5, 40), Square(98, 78, 52)):
        changed = _laid_over(frame, new, mask, square)
        differs = (changed != frame).any(axis=-1)
        assert differs.any()
        rows, columns = np.nonzero(differs)
        assert np.abs(rows - square.y).max() <= square.side / 4 + 2
        assert np.abs(columns - square.x).max() <= square.side / 4 + 2


def test_the_square_about_a_face_follows_its_box_between_sightings() -> None:
    boxes = np.array([[10, 10, 30, 30], [20, 10, 40, 30]], np.float32)
    track = FaceTrack(
        0,
        np.array([0.0, 0.5]),
        boxes,
        np.full((2, 5, 2), np.nan, np.float32),
        np.ones(2, np.float32),
        np.zeros((2, 8, 8, 3), np.uint8),
    )

    square = _face_at(0.25, track)

    assert square is not None
    assert (square.x, square.y, square.turn) == pytest.approx((25, 20, 0))
    assert square.side == pytest.approx(20 * 1.6)
    assert _face_at(9.0, track) is None


def test_methods_ask_for_their_streams() -> None:
    sound = Samples(np.zeros((1, RATE), np.float32), RATE)
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    both, heard, seen = (Material(*streams, 25.0, None) for streams in ((sound, frames), (sound, None), (None, frames)))

    assert [material.can("lpc_copy") for material in (both, heard, seen)] == [True, True, False]
    assert [material.can("swap_sound") for material in (both, heard, seen)] == [True, False, False]
    assert [material.can("self_blend") for material in (both, heard, seen)] == [False] * 3  # no face
    assert [material.can("drop_frames") for material in (both, heard, seen)] == [True, False, True]


@pytest.mark.parametrize("name", ["--help.mp4", "a\nb.mp4", "x" * 240 + ".mp4"])
def test_names_that_shells_and_file_systems_choke_on_become_digests(name: str, tmp_path: Path) -> None:
    made = _file_name(Clip(name, tmp_path), ".mp4")

    assert made.removesuffix(".mp4").isalnum()
    assert len(made) == 28
    assert _file_name(Clip("a/b.wav", tmp_path), ".flac") == "a__b.wav.flac"


@pytest.mark.parametrize("beside_pictures", [True, False])
def test_forged_seconds_are_on_the_written_files_clock(tmp_path: Path, beside_pictures: bool) -> None:
    rng = np.random.default_rng(0)
    sound = Samples(speak(Speaker.drawn(rng), rng)[0][None, : 2 * RATE], RATE, start_seconds=0.5)
    frames = np.full((32, 64, 64, 3), 90, np.uint8) if beside_pictures else None
    material = Material(sound, frames, FPS, None)

    made = _forge_sound("partial_copy", material, None, np.random.default_rng(1))
    path = tmp_path / ("a.mp4" if beside_pictures else "a.flac")
    before, after = (
        read_samples_of(write_media(path, sound=each, frames=None if frames is None else iter(frames), fps=FPS))
        for each in (sound, made.material.sound)
    )

    changed = np.abs(before - after) > 0.05
    inside = np.zeros(len(changed), bool)
    for start, stop in made.segments:
        inside[round(start * RATE) : round(stop * RATE)] = True
    assert 0.1 < inside.mean() < 0.7
    assert changed[inside].mean() > 20 * changed[~inside].mean()


def test_values_that_make_no_sense_are_refused_by_name_and_a_single_method_is_a_word(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"limit": 0}, {"per_clip": 0}, {"seed": -1}, {"max_seconds": 0}, {"workers": -1}]

    for keywords in wrong:
        with pytest.raises(RecipeError, match=next(iter(keywords))):
            forge(tmp_path, out=tmp_path / "out", **keywords)
    with pytest.raises(RecipeError, match="'no_such_method'"):
        forge(tmp_path, out=tmp_path / "out", methods="no_such_method")
