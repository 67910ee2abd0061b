"""The clips that a net was surest of and wrong about, with what is needed to hear and see them on a page.

Media are bounded: so many seconds of each clip and so many bytes in all, then a page says that there is no more.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ffdv.data.shards import Shards
from ffdv.errors import ShardError
from ffdv.features.recipe import resample_mono
from ffdv.features.spectrogram import FrontEndSpec, log_spectrogram
from ffdv.media.write import write_media
from ffdv.records import FaceTrack, FloatArray, PixelArray, Samples

MOST_SECONDS = 8.0  # of a clip's sound on the page
SOUND_BITS = 48_000  # MP3, which every browser plays: 48 kB for 8 s
MOST_BYTES = 4_000_000  # of all media on a page
MOST_FILM_BYTES = 700_000  # a clip is embedded whole up to this size
SHOWN_RATE = 16_000  # Hz; spectrograms show what lies below half of it
FACES_SHOWN = 4
FILMS = {"mp4": "video/mp4", "mov": "video/mp4", "webm": "video/webm"}  # what browsers play

# Dark to light with growing lightness at every kind of colour vision; between them straight lines.
_COLOURS = np.array([(8, 8, 28), (38, 52, 104), (38, 118, 128), (120, 178, 96), (246, 232, 140)], np.float64)


@dataclass(frozen=True)
class Mistake:
    """One clip: its label, its score, its groups, and data: URIs of what can be shown ("" where there is nothing).

    sound, film: one of them at most; spectrogram with the highest frequency in Hz and the seconds that it spans; faces.
    """

    name: str
    label: int
    score: float
    groups: Mapping[str, str]
    sound: str = ""
    film: str = ""
    spectrogram: str = ""
    top_hz: float = 0.0
    seconds: float = 0.0
    faces: tuple[str, ...] = ()


def surest_mistakes(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], *, label: int, most: int, threshold: float = 0.5
) -> list[int]:
    """Which clips of a class lie on the wrong side of the threshold, the farthest first.

    >>> surest_mistakes(np.array([0, 0, 0, 1]), np.array([0.6, 0.9, 0.1, 0.8]), label=0, most=5)
    [1, 0]
    """
    wrong = (labels == label) & ((scores > threshold) != (label == 1))
    order = np.argsort(-np.abs(scores - threshold), kind="stable")
    return [int(at) for at in order if wrong[at]][:most]


def show_mistakes(
    shards: Shards, rows: Sequence[int], scores: Sequence[float], *, budget: int = MOST_BYTES
) -> list[Mistake]:
    """These rows of the shards with their media, as long as the budget of bytes lasts."""
    clips = shards.clips()
    shown = []
    for row, score in zip(rows, scores, strict=True):
        clip = clips[row]
        plain = Mistake(clip.name, clip.label or 0, score, clip.groups)
        mistake = _with_media(plain, shards, row, clip.path)
        size = sum(map(len, (mistake.sound, mistake.film, mistake.spectrogram, *mistake.faces)))
        budget -= size
        shown.append(mistake if budget >= 0 else plain)
    return shown


def _with_media(plain: Mistake, shards: Shards, row: int, path: Path) -> Mistake:
    """What can be heard and seen of one clip; a part that cannot be read is left out."""
    try:
        sound, faces = shards.sound(row), shards.faces(row)
    except ShardError:
        return plain
    spectrogram, top_hz, seconds, player = "", 0.0, 0.0, ""
    if sound is not None and sound.num_samples:
        short = Samples(sound.values[:, : round(MOST_SECONDS * sound.rate)], sound.rate)
        shown_rate = min(short.rate, SHOWN_RATE)
        spectrogram = _uri("image/png", spectrogram_png(resample_mono(short, shown_rate), shown_rate))
        top_hz, seconds = shown_rate / 2, short.duration_seconds
        player = _mp3(short)
    film = _film(path, shards.file_bytes(row))
    return Mistake(
        plain.name,
        plain.label,
        plain.score,
        plain.groups,
        sound="" if film else player,
        film=film,
        spectrogram=spectrogram,
        top_hz=top_hz,
        seconds=seconds,
        faces=_faces(faces.tracks[0]) if faces is not None and faces.tracks else (),
    )


def spectrogram_png(samples: FloatArray, rate: int, *, height: int = 128) -> bytes:
    """Mono samples (n,) as a PNG, low frequencies at the bottom, linear in Hz, 80 dB deep under the loudest."""
    from PIL import Image

    hop = max(64, len(samples) // 640)
    spec = FrontEndSpec(
        kind="linear", sample_rate=rate, n_fft=max(512, 2 * hop), hop_length=hop, n_bands=height, floor_db=-120
    )
    decibels = log_spectrogram(samples, spec)
    levels = np.clip((decibels - decibels.max() + 80.0) / 80.0 * 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(levels[::-1].copy(), "L").convert("P")
    image.putpalette(_palette().tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def _palette() -> PixelArray:
    """256 colours (256, 3) along _COLOURS."""
    places = np.linspace(0, len(_COLOURS) - 1, 256)
    columns = [np.interp(places, np.arange(len(_COLOURS)), _COLOURS[:, part]) for part in range(3)]
    return np.stack(columns, axis=1).round().astype(np.uint8)


def _mp3(sound: Samples) -> str:
    with tempfile.TemporaryDirectory(prefix="ffdv-report-") as folder:
        path = write_media(Path(folder) / "clip.mp3", sound=sound, audio_bit_rate=SOUND_BITS)
        return _uri("audio/mpeg", path.read_bytes())


def _film(path: Path, size: int | None) -> str:
    """The file itself, when it is still there, plays in browsers and is small; another than was prepared, by its size in bytes, is not shown."""
    kind = FILMS.get(path.suffix.lower().lstrip("."))
    try:
        if kind is None or not path.is_file() or path.stat().st_size != size or size > MOST_FILM_BYTES:
            return ""
        return _uri(kind, path.read_bytes())
    except OSError:
        return ""


def _faces(track: FaceTrack) -> tuple[str, ...]:
    """A few crops of the face, spread over the clip."""
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(track.crops) - 1, min(FACES_SHOWN, len(track.crops))).round().astype(int))
    pictures = []
    for at in chosen.tolist():
        content = io.BytesIO()
        Image.fromarray(track.crops[at]).resize((96, 96)).save(content, "JPEG", quality=80)
        pictures.append(_uri("image/jpeg", content.getvalue()))
    return tuple(pictures)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
