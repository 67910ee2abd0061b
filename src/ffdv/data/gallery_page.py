"""Every augmentation of one clip at three strengths, to be seen and heard: gallery.html (self-contained) or gallery.png.

    file ─ a few seconds of sound, one face ─ augment/gallery.py ─▶ tiles: spectrogram and player, crop, strip of frames

It lies in data/ because it reads a file and writes one; the transforms themselves know no files.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw, ImageFont

from ffdv.arguments import whole_number
from ffdv.augment.gallery import (
    STRENGTHS,
    Family,
    GalleryEntry,
    face_gallery,
    picture_gallery,
    sound_gallery,
    spectrogram_gallery,
)
from ffdv.augment.pixels import resized
from ffdv.errors import MediaError, RecipeError, StreamMissing
from ffdv.features.crops import cut_square, face_square, moved_inside
from ffdv.features.face_detectors import make_face_detector
from ffdv.features.faces import STANDARD_FACES, find_faces
from ffdv.features.spectrogram import FrontEndSpec, log_spectrogram
from ffdv.media.limits import Limits
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.page import drawn, render
from ffdv.records import FloatArray, Frame, PixelArray
from ffdv.whole_file import write_atomically

RATE = 16_000
SOUND_SECONDS = 2.5  # about 100 excerpts have to fit into one page
LOOKED_SECONDS = 20.0  # of the file, from its start
PICTURE_SIDE = 256  # the strengths in augment/gallery.py are meant for this
FACE_SIDE = 128
FACE_FPS = 12.5
FACE_FRAMES = 20
FACE_MARGIN = 1.43  # forgeries take a crop for a face that fills its middle seven tenths
SPECTROGRAM = FrontEndSpec(kind="linear", sample_rate=RATE, n_fft=512, hop_length=160, n_bands=128)
SHOWN_DB = 70.0  # below the loudest point of the original everything is black
TILE_WIDTH, TILE_HEIGHT = 250, 128  # of a spectrogram

# Dark to light through purple and orange, even steps of lightness; anchors in RGB.
HEAT = np.array([(0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164)])  # fmt: skip

TITLES: dict[Family, str] = {
    "sound": "Sound",
    "forged sound": "Forged voices",
    "spectrogram": "Masks on a spectrogram",
    "picture": "Pictures",
    "forged face": "Forged faces",
}
ABOUT: dict[Family, str] = {
    "sound": "What training may do to a waveform without changing whether it is genuine. The label stays.",
    "forged sound": "What makes a genuine voice a fake one: the label becomes fake. The bar under a spectrogram is the forged stretch.",
    "spectrogram": "SpecAugment: bands and times hidden, so that a net looks at all of them.",
    "picture": "For face crops and for spectrograms seen as pictures. The label stays.",
    "forged face": "What makes a genuine face a fake one, frame by frame: the label becomes fake.",
}

PAGE = """{% extends "page" %}
{% block title %}Augmentations of {{ name }}{% endblock %}
{% block style %}
.row { display: grid; grid-template-columns: minmax(11rem, 15rem) repeat(3, minmax(0, 1fr)); gap: .8rem; padding: .8rem 0; border-bottom: 1px solid var(--line); align-items: start; }
.row h3 { margin: 0 0 .2rem; } .row p { margin: 0; }
.tile img { display: block; width: 100%; border-radius: .3rem; background: #000; }
.tile.square img { width: min(100%, 12rem); }
.tile audio { margin-top: .3rem; height: 2rem; }
nav a { margin-right: 1rem; }
@media (max-width: 48rem) { .row { grid-template-columns: repeat(3, minmax(0, 1fr)); } .row > :first-child { grid-column: 1 / -1; } }
{% endblock %}
{% block body %}
<h1>Augmentations of {{ name }}</h1>
<p>Every transform that a recipe can name, weak, medium and strong, with the settings that made it. Seed {{ seed }}.</p>
{% for note in notes %}<p class="note">{{ note }}</p>{% endfor %}
<nav class="screen-only">{% for section in sections %}<a href="#{{ section.id }}">{{ section.title }} ({{ section.rows | length }})</a>{% endfor %}</nav>
<h2>The original</h2>
<div class="row"><p class="soft small">The stretch of sound and the face that all transforms below start from.</p>{% for tile in originals %}{{ tile }}{% endfor %}</div>
{% for section in sections %}
<h2 id="{{ section.id }}">{{ section.title }}</h2>
<p class="soft">{{ section.about }}</p>
{% for row in section.rows %}
<div class="row"><div><h3><code>{{ row.name }}</code></h3><p class="soft small">{{ row.about }}</p></div>{% for tile in row.tiles %}{{ tile }}{% endfor %}</div>
{% endfor %}
{% endfor %}
<footer>Made by ffdv. No network, no script: everything is inside this file.</footer>
{% endblock %}
"""
TILE = """<figure class="tile{% if square %} square{% endif %}"><img alt="{{ alt }}" src="data:image/webp;base64,{{ picture }}" loading="lazy">
{% if sound %}<audio controls preload="none" src="data:audio/flac;base64,{{ sound }}" aria-label="{{ alt }}"></audio>{% endif %}
<figcaption>{{ caption }}</figcaption></figure>"""


@dataclass(frozen=True)
class Excerpt:
    """What the gallery works on: sound (channels, n) at RATE, picture (256, 256, 3), face crops (n, 128, 128, 3); None if missing."""

    sound: FloatArray | None
    picture: PixelArray | None
    face: PixelArray | None
    notes: tuple[str, ...]

    @property
    def mono(self) -> FloatArray | None:
        """The mean of the channels (n,)."""
        return None if self.sound is None else self.sound.mean(axis=0, dtype=np.float32)


@dataclass(frozen=True)
class Scale:
    """What all spectrograms of a gallery share, so that they can be compared: the original's loudest point and its length."""

    loudest_db: float
    num_frames: int


@dataclass(frozen=True)
class GallerySummary:
    """What gallery wrote; notes: what of the file could not be shown, and why."""

    out: Path
    transforms: int
    notes: tuple[str, ...]


def gallery(
    file: Path | str,
    *,
    out: Path | str,
    other: Path | str | None = None,
    recordings: Path | str | None = None,
    seed: int = 0,
    progress: Callable[[int, str], None] | None = None,
) -> GallerySummary:
    """Show every transform of `file` at three strengths in `out`, a .html page with sound, or a .png sheet.

    other: a clip of another person, for swaps and blends; recordings: a folder of noises or impulse responses; without them
    the transforms that need them are left out. progress: called after each entry with how many there are by now, and its name.
    Raises MediaError for a file that holds neither sound nor picture that can be used, RecipeError for another suffix of `out` or a negative seed.
    """
    whole_number(0, seed=seed)
    target = Path(out)
    if target.suffix.lower() not in (".html", ".png"):
        raise RecipeError(f"{target.name}: a gallery is a .html page or a .png sheet; name it so")
    mine = read_excerpt(Path(file))
    theirs = None if other is None else read_excerpt(Path(other))
    entries = []
    for entry in _entries(mine, theirs, recordings, seed):
        entries.append(entry)
        if progress is not None:
            progress(len(entries), entry.name)
    if target.suffix.lower() == ".html":
        content = _as_html(Path(file).name, mine, entries, seed).encode()
    else:
        content = _as_png(Path(file).name, mine, entries)
    write_atomically(target, content)
    return GallerySummary(target, len(entries) // len(STRENGTHS), mine.notes)


def read_excerpt(path: Path) -> Excerpt:
    """The loudest SOUND_SECONDS of a file's first seconds, and its most prominent face. Raises MediaError when there is neither."""
    sound = picture = face = None
    notes: list[str] = []
    with open_media(path, limits=Limits(max_seconds=LOOKED_SECONDS)) as media:
        if media.facts.has_sound:
            try:
                sound = _loudest(read_samples(media, rate=RATE, mono=False).values[:2])
            except MediaError as error:
                notes.append(f"no sound: {error.reason}")
        else:
            notes.append("the file has no sound")
        if media.facts.has_picture:
            frames = list(islice(read_frames(media, fps=FACE_FPS), 8 * FACE_FRAMES))
            picture, face = _face(frames)
            if face is None:
                notes.append("no face was found: forged faces are left out")
        else:
            notes.append("the file has no picture")
    if sound is None and picture is None:
        raise StreamMissing(path, "holds neither sound nor pictures that could be shown")
    return Excerpt(sound, picture, face, tuple(notes))


def _loudest(values: FloatArray) -> FloatArray | None:
    """The stretch of SOUND_SECONDS with the most power, (channels, n)."""
    length = round(SOUND_SECONDS * RATE)
    if values.shape[1] < RATE // 4:
        return None
    if values.shape[1] <= length:
        return values
    power = np.cumsum(np.square(values, dtype=np.float64).mean(axis=0))
    start = int(np.argmax(power[length:] - power[:-length]))
    return np.ascontiguousarray(values[:, start : start + length])


def _face(frames: Sequence[Frame]) -> tuple[PixelArray | None, PixelArray | None]:
    """One picture of the face at 256 pixels, and its crops over time; of a picture without faces, its middle."""
    if not frames:
        return None, None
    tracks = find_faces(frames, STANDARD_FACES, make_face_detector(STANDARD_FACES.detector)).tracks
    if not tracks:
        pixels = frames[len(frames) // 2].pixels
        side = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        return resized(pixels[top : top + side, left : left + side], (PICTURE_SIDE, PICTURE_SIDE), "lanczos"), None
    track = tracks[0]
    by_time = {round(frame.seconds, 6): frame.pixels for frame in frames}
    seen = [place for place, seconds in enumerate(track.seconds) if round(float(seconds), 6) in by_time][:FACE_FRAMES]
    crops = []
    for place in seen:
        pixels = by_time[round(float(track.seconds[place]), 6)]
        square = face_square(track.boxes[place], track.landmarks[place], FACE_MARGIN)
        square = moved_inside(square, pixels.shape[1], pixels.shape[0])
        crops.append(cut_square(pixels, square, PICTURE_SIDE))
    small = np.stack([resized(crop, (FACE_SIDE, FACE_SIDE), "lanczos") for crop in crops])
    return crops[0], small


def _entries(mine: Excerpt, theirs: Excerpt | None, recordings: Path | str | None, seed: int) -> Iterator[GalleryEntry]:
    """All that the excerpt allows, family by family."""
    if mine.sound is not None:
        samples = mine.sound if len(mine.sound) > 1 else mine.sound[0]
        folder = None if recordings is None else str(recordings)
        yield from sound_gallery(samples, RATE, seed=seed, folder=folder, other=theirs.mono if theirs else None)
        assert mine.mono is not None
        yield from spectrogram_gallery(log_spectrogram(mine.mono, SPECTROGRAM), seed=seed)
    if mine.picture is not None:
        yield from picture_gallery(mine.picture, seed=seed)
    if mine.face is not None and len(mine.face) > 1:
        yield from face_gallery(mine.face, seed=seed, fps=FACE_FPS, other=theirs.face if theirs else None)


def _as_html(name: str, mine: Excerpt, entries: Sequence[GalleryEntry], seed: int) -> str:
    scale = _scale_of(mine)
    sections = []
    for family, members in _by_family(entries):
        rows = []
        for transform, three in groupby(members, lambda entry: entry.name):
            trio = list(three)
            rows.append({"name": transform, "about": trio[0].about, "tiles": [_tile(entry, scale) for entry in trio]})
        sections.append({"id": family.replace(" ", "-"), "title": TITLES[family], "about": ABOUT[family], "rows": rows})
    return render(PAGE, name=name, notes=mine.notes, sections=sections, originals=_originals(mine, scale), seed=seed)


def _by_family(entries: Sequence[GalleryEntry]) -> list[tuple[Family, list[GalleryEntry]]]:
    return [
        (family, members) for family in TITLES if (members := [entry for entry in entries if entry.family == family])
    ]


def _originals(mine: Excerpt, scale: Scale) -> list[str]:
    tiles: list[str] = []
    if mine.mono is not None:
        picture = _spectrogram_picture(log_spectrogram(mine.mono, SPECTROGRAM), scale)
        tiles.append(
            drawn(
                TILE,
                alt="the original sound",
                picture=_webp([picture]),
                sound=_flac(mine.mono),
                caption="0 to 8 kHz",
                square=False,
            )
        )
    if mine.picture is not None:
        tiles.append(
            drawn(TILE, alt="the original face", picture=_webp([mine.picture]), sound=None, caption="", square=True)
        )
    if mine.face is not None:
        tiles.append(
            drawn(
                TILE,
                alt="the face in motion",
                picture=_webp(list(mine.face)),
                sound=None,
                caption="in motion",
                square=True,
            )
        )
    return tiles


def _tile(entry: GalleryEntry, scale: Scale) -> str:
    settings = ", ".join(f"{key} {_plain(value)}" for key, value in entry.settings.items())
    frames, square = entry_pictures(entry, scale)
    return drawn(
        TILE,
        alt=f"{entry.name}, {entry.strength}",
        picture=_webp(frames),
        sound=None if entry.sound is None else _flac(entry.sound),
        caption=f"{entry.strength}: {settings}" if settings else entry.strength,
        square=square,
    )


def entry_pictures(entry: GalleryEntry, scale: Scale) -> tuple[Sequence[PixelArray], bool]:
    """The tile's picture, or its frames, and whether it is a picture rather than a spectrogram."""
    if entry.sound is not None:
        picture = _spectrogram_picture(log_spectrogram(entry.sound, SPECTROGRAM), scale)
        return [_marked(picture, entry, scale.num_frames * SPECTROGRAM.hop_length / RATE)], False
    if entry.spectrogram is not None:
        return [_spectrogram_picture(np.asarray(entry.spectrogram, np.float32), scale)], False
    assert entry.pixels is not None
    frames = entry.pixels if entry.pixels.ndim == 4 else entry.pixels[None]
    return list(frames), True


def _scale_of(mine: Excerpt) -> Scale:
    if mine.mono is None:
        return Scale(0.0, 1)
    decibels = log_spectrogram(mine.mono, SPECTROGRAM)
    return Scale(float(decibels.max()), decibels.shape[1])


def _spectrogram_picture(decibels: FloatArray, scale: Scale) -> PixelArray:
    """(bands, frames) dB as a picture, low bands at the bottom, on the original's time axis: what is longer is cut."""
    share = np.clip((decibels[:, : scale.num_frames] - scale.loudest_db + SHOWN_DB) / SHOWN_DB, 0, 1)[::-1]
    share = np.pad(share, ((0, 0), (0, scale.num_frames - share.shape[1])))
    return resized(heat(share), (TILE_HEIGHT, TILE_WIDTH), "bilinear")


def heat(share: FloatArray) -> PixelArray:
    """Values in [0, 1] as colours, uint8 (..., 3)."""
    places = np.linspace(0, 1, len(HEAT))
    colours = [np.interp(share, places, HEAT[:, channel]) for channel in range(3)]
    return np.stack(colours, axis=-1).round().astype(np.uint8)


def _marked(picture: PixelArray, entry: GalleryEntry, seconds: float) -> PixelArray:
    """A bar along the bottom for the forged stretches."""
    if not entry.segments:
        return picture
    bar = np.full((8, picture.shape[1], 3), 235, np.uint8)
    for start, stop in entry.segments:
        bar[2:, round(start / seconds * len(bar[0])) : round(stop / seconds * len(bar[0]))] = (242, 110, 40)
    return np.concatenate([picture, bar])


def _webp(frames: Sequence[PixelArray]) -> str:
    images = [Image.fromarray(frame if frame.ndim == 3 else np.stack([frame] * 3, axis=-1)) for frame in frames]
    stream = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:], "duration": round(1000 / FACE_FPS), "loop": 0}
    images[0].save(stream, "WEBP", quality=82, **(more if len(images) > 1 else {}))
    return base64.b64encode(stream.getvalue()).decode()


def _flac(samples: FloatArray) -> str:
    stream = io.BytesIO()
    soundfile.write(stream, np.clip(samples, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    return base64.b64encode(stream.getvalue()).decode()


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return _plain(value[0]) if len(set(map(str, value))) == 1 else ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_png(name: str, mine: Excerpt, entries: Sequence[GalleryEntry]) -> bytes:
    """A contact sheet: a block a transform, two blocks side by side, three strengths in each."""
    scale = _scale_of(mine)
    families = [
        (family, [list(three) for _, three in groupby(members, lambda entry: entry.name)])
        for family, members in _by_family(entries)
    ]
    title, heading, label, tile, gap = 56, 44, 22, 108, 8
    widths = {True: tile, False: round(tile * TILE_WIDTH / TILE_HEIGHT)}
    block = 3 * (widths[False] + gap) + 24
    columns = {family: 2 if family in ("sound", "forged sound", "spectrogram") else 4 for family in TITLES}
    square_block = 3 * (tile + gap) + 16
    height = title + sum(
        heading + -(-len(rows) // columns[family]) * (tile + label + gap + 8) for family, rows in families
    )
    sheet = Image.new("RGB", (max(2 * block, 4 * square_block) + 24, height + 16), (255, 255, 255))
    pen, font, large = ImageDraw.Draw(sheet), ImageFont.load_default(14), ImageFont.load_default(22)
    pen.text((24, 18), f"Augmentations of {name}: weak, medium, strong", fill=(27, 29, 31), font=large)
    top = title
    for family, rows in families:
        pen.text((24, top + 12), TITLES[family], fill=(0, 103, 168), font=large)
        top += heading
        for number, trio in enumerate(rows):
            column, line = number % columns[family], number // columns[family]
            left = 24 + column * (block if columns[family] == 2 else square_block)
            y = top + line * (tile + label + gap + 8)
            pen.text((left, y), trio[0].name, fill=(27, 29, 31), font=font)
            for place, entry in enumerate(trio):
                frames, square = entry_pictures(entry, scale)
                picture = frames[len(frames) // 2]
                picture = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=-1)
                shown = resized(picture, (tile, widths[square]), "lanczos")
                sheet.paste(Image.fromarray(shown), (left + place * (widths[square] + gap), y + label))
        top += -(-len(rows) // columns[family]) * (tile + label + gap + 8)
    stream = io.BytesIO()
    sheet.quantize(192, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
