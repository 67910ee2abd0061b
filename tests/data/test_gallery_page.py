"""The gallery as a page and as a sheet: every transform of a clip, inside one file."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from ffdv.augment.gallery import GalleryEntry
from ffdv.data import gallery_page
from ffdv.data.gallery_page import Excerpt, Scale, entry_pictures, gallery, heat, read_excerpt
from ffdv.data.sources.drawn_face import draw_face
from ffdv.errors import MediaError, RecipeError
from ffdv.media.write import write_media
from ffdv.records import Samples

RATE = gallery_page.RATE


def voice(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * np.sign(np.sin(2 * np.pi * 140 * time)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [draw_face(96, mouth=k % 4 / 4) for k in range(10)]
    sound = Samples(voice(0.5)[None], RATE)
    return write_media(tmp_path_factory.mktemp("clip") / "<b>me.mp4", sound=sound, frames=frames, fps=12.5)


@pytest.fixture
def few_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks and blends only: all transforms are the slow test's."""
    for family in ("sound_gallery", "picture_gallery"):
        monkeypatch.setattr(gallery_page, family, lambda *_, **__: iter(()))


@pytest.mark.usefixtures("few_transforms")
def test_the_page_holds_everything_and_takes_names_for_text(clip: Path, tmp_path: Path) -> None:
    summary = gallery(clip, out=tmp_path / "gallery.html")
    page = (tmp_path / "gallery.html").read_text()

    assert summary.transforms == 7
    assert "&lt;b&gt;me.mp4" in page
    assert "<b>me" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<audio") == 1  # the original; masks have no sound
    pictures = re.findall(r"data:image/webp;base64,([^\"]+)", page)
    assert all(Image.open(io.BytesIO(base64.b64decode(picture))).width > 0 for picture in pictures)
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(re.findall(r"data:audio/flac;base64,([^\"]+)", page)[0])))
    assert (rate, len(sound)) == (RATE, pytest.approx(0.5 * RATE, abs=0.1 * RATE))


@pytest.mark.slow
def test_every_family_is_shown_for_a_clip_with_sound_and_a_face(clip: Path, tmp_path: Path) -> None:
    names: list[str] = []
    summary = gallery(clip, out=tmp_path / "gallery.png", progress=lambda _, name: names.append(name))

    assert {"pitch_shift", "opus", "world_copy", "time_mask", "AugMix", "self_blend", "shift_mouth"} <= set(names)
    assert summary.transforms == len(set(names)) >= 60
    with Image.open(tmp_path / "gallery.png") as sheet:
        assert sheet.width > 1200
        assert sheet.height > 2000


def test_a_file_without_sound_or_face_says_so(tmp_path: Path) -> None:
    plain = [np.full((64, 80, 3), 90, np.uint8)] * 6

    excerpt = read_excerpt(write_media(tmp_path / "plain.mp4", frames=plain, fps=12.5))

    assert excerpt.sound is None
    assert excerpt.face is None
    assert excerpt.picture is not None
    assert excerpt.picture.shape == (256, 256, 3)
    assert excerpt.notes == ("the file has no sound", "no face was found: forged faces are left out")


def test_what_cannot_be_shown_is_one_sentence(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing")

    with pytest.raises(MediaError):
        gallery(tmp_path / "no.mp4", out=tmp_path / "g.html")
    with pytest.raises(RecipeError, match=r"\.html page or a \.png"):
        gallery(clip, out=tmp_path / "g.jpg")
    assert not list(tmp_path.glob("g.*"))


def test_the_loudest_stretch_is_taken() -> None:
    quiet = np.full((1, 4 * RATE), 0.001, np.float32)
    quiet[0, 3 * RATE :] = 0.5

    taken = gallery_page._loudest(quiet)

    assert taken is not None
    assert taken.shape == (1, round(gallery_page.SOUND_SECONDS * RATE))
    assert abs(int((taken == 0.5).sum()) - RATE) <= 1


def test_spectrograms_share_one_time_axis() -> None:
    shorter = GalleryEntry("sound", "time_stretch", "strong", {}, "", sound=voice(0.5))

    (picture,), square = entry_pictures(shorter, Scale(loudest_db=0.0, num_frames=100))

    assert not square
    assert (picture[:, 130:] == heat(np.zeros(1))[0]).all()  # half a second of one: the right half is empty
    assert (picture[:, :120] != heat(np.zeros(1))[0]).any()


def test_colours_get_lighter_with_the_value() -> None:
    lightness = heat(np.linspace(0, 1, 50).astype(np.float32)).astype(int) @ np.array([0.2126, 0.7152, 0.0722])

    assert (np.diff(lightness) > 0).all()


def test_stereo_is_kept_for_channel_separation() -> None:
    stereo = np.stack([voice(0.3), -voice(0.3)])
    excerpt = Excerpt(stereo, None, None, ())

    assert excerpt.mono is not None
    assert np.abs(excerpt.mono).max() < 1e-6
