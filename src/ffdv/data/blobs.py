"""Sound, faces, movement and mouths as cells of bytes and numbers, and back: what a shard's heavy columns hold."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import soundfile
from PIL import Image

from ffdv.features.kept_sound import IntegerArray, KeptSound, to_float
from ffdv.features.recipe import ExtractSpec
from ffdv.records import FacesSeen, FaceTrack, FloatArray, MouthTrack, PixelArray, Samples

SoundCodec = Literal["flac", "int16"]

# 4:4:4 at 95 keeps a crop within 2 grey levels; the mouth's colours are what a visual model reads.
JPEG_QUALITY = 95
# Crops of a mouth stand below each other in strips: a JPEG of 96 pixels is a quarter header. JPEG ends at 65,535 rows.
STRIP_ROWS = 32_768
# Cells may come from strangers, and a few kilobytes of FLAC or JPEG stand for gigabytes. Three hours at 48 kHz, which an index from strangers
# may promise at most; a crop of 2,048 pixels a side; a strip of 1,024 pixels' width.
MOST_SAMPLES = 1 << 29
MOST_CROP_PIXELS, MOST_STRIP_PIXELS = 1 << 22, 1 << 26


def encode_sound(sound: Samples | KeptSound | None, codec: SoundCodec) -> tuple[dict[str, Any], ...]:
    """The sound's cells, a row for each stretch of it: 16-bit samples times scale. Beyond full scale it is scaled, never clipped."""
    if sound is None:
        return ()
    kept = KeptSound.of(sound) if isinstance(sound, Samples) else sound
    return tuple(
        {
            "rate": stretch.rate,
            "start_seconds": stretch.start_seconds,
            "scale": stretch.scale,
            "blob": stretch.flac() if codec == "flac" else stretch.integers().tobytes(),
        }
        for stretch in kept.stretches()
    )


def most_samples(spec: ExtractSpec) -> int:
    """How many samples a sound that was kept by these settings has at most; a second more, since files do not end on the tick."""
    return min(MOST_SAMPLES, math.ceil(spec.max_sample_rate * min(spec.max_seconds + 1.0, MOST_SAMPLES)))


def decode_sound(rows: Sequence[Mapping[str, Any]], codec: SoundCodec, *, most: int = MOST_SAMPLES) -> Samples | None:
    """The sound of a clip's rows, mono (1, n), within 1/65534 of its scale; None where it has none.

    most: samples of all rows together. Raises ValueError where a cell is no sound of one channel, or all are longer; soundfile's errors
    where one is damaged.
    """
    heard = [cells for cells in rows if cells.get("blob") is not None]
    if not heard:
        return None
    values, left = [], most
    for cells in heard:
        values.append(to_float(_integers(cells["blob"], codec, most=left), cells["scale"]))
        left -= len(values[-1])
    return Samples(np.concatenate(values)[None], heard[0]["rate"], heard[0]["start_seconds"])


def _integers(blob: bytes, codec: SoundCodec, *, most: int) -> IntegerArray:
    if codec != "flac":
        if len(blob) > 2 * most:
            raise ValueError(f"sound of {len(blob) // 2} samples")
        return np.frombuffer(blob, np.int16)
    with soundfile.SoundFile(io.BytesIO(blob)) as file:
        if file.channels != 1 or file.frames > most:
            raise ValueError(f"sound of {file.channels} channels and {file.frames} samples")
        return np.asarray(file.read(dtype="int16"), np.int16)


def encode_faces(faces: FacesSeen | None) -> dict[str, Any]:
    """The faces' cells: numbers flat, crops as JPEG."""
    if faces is None:
        return {}
    width, height = faces.picture_size or (None, None)
    return {
        "frames_looked_at": faces.frames_looked_at,
        "frames_with_face": faces.frames_with_face,
        "picture_width": width,
        "picture_height": height,
        "tracks": [
            {
                "track_id": track.track_id,
                "seconds": track.seconds.tolist(),
                "boxes": track.boxes.ravel().tolist(),
                "landmarks": track.landmarks.ravel().tolist(),
                "scores": track.scores.tolist(),
                "crops": [encode_picture(crop) for crop in track.crops],
            }
            for track in faces.tracks
        ],
    }


def decode_faces(cell: Mapping[str, Any] | None) -> FacesSeen | None:
    """What encode_faces stored; crops within the loss of one JPEG pass."""
    if cell is None or cell.get("tracks") is None:
        return None
    width, height = cell["picture_width"], cell["picture_height"]
    size = None if width is None else (width, height)
    return FacesSeen(
        tuple(_track(track) for track in cell["tracks"]), cell["frames_looked_at"], cell["frames_with_face"], size
    )


def encode_motion(values: FloatArray | None) -> dict[str, Any]:
    """The movement's cell."""
    return {} if values is None else {"values": values.tolist()}


def decode_motion(cells: Mapping[str, Any]) -> FloatArray | None:
    """What encode_motion stored; None where the clip has none."""
    values = cells.get("values")
    return None if values is None else np.asarray(values, np.float32)


def encode_mouth(mouth: MouthTrack | None) -> dict[str, Any]:
    """The mouth's cells: numbers flat, crops as grey JPEG strips of whole crops, points as 16-bit floats (within 0.0005 of an
    eye distance).
    """
    if mouth is None:
        return {}
    size = mouth.crops.shape[1]
    per_strip = max(1, STRIP_ROWS // max(1, size))
    strips = [mouth.crops[first : first + per_strip] for first in range(0, len(mouth.crops), per_strip)]
    return {
        "seconds": mouth.seconds.tolist(),
        "opening": mouth.opening.tolist(),
        "points": None if mouth.points is None else mouth.points.astype("<f2").tobytes(),
        "size": size,
        "strips": [_grey_jpeg(strip.reshape(-1, size)) for strip in strips],
    }


def decode_mouth(cells: Mapping[str, Any]) -> MouthTrack | None:
    """What encode_mouth stored, crops within the loss of one JPEG pass; None where the clip has none."""
    if cells.get("seconds") is None:
        return None
    size = cells["size"]
    strips = [_grey_picture(strip).reshape(-1, size, size) for strip in cells["strips"]]
    seconds, points = np.asarray(cells["seconds"], np.float64), cells.get("points")
    if points is not None:
        flat = np.frombuffer(points, "<f2").astype(np.float32)
        points = flat.reshape(len(seconds), -1, 3) if len(seconds) else flat.reshape(0, 0, 3)
    return MouthTrack(
        seconds,
        np.concatenate(strips) if strips else np.zeros((0, size, size), np.uint8),
        np.asarray(cells["opening"], np.float32),
        points,
    )


def encode_picture(pixels: PixelArray) -> bytes:
    """uint8 (h, w, 3) RGB → JPEG."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return sink.getvalue()


def decode_picture(blob: bytes) -> PixelArray:
    """JPEG → uint8 (h, w, 3) RGB. Raises ValueError or OSError where it is none, or too large."""
    return np.asarray(_opened(blob, MOST_CROP_PIXELS).convert("RGB"))


def _grey_jpeg(pixels: PixelArray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=JPEG_QUALITY)
    return sink.getvalue()


def _grey_picture(blob: bytes) -> PixelArray:
    return np.asarray(_opened(blob, MOST_STRIP_PIXELS).convert("L"))


def _opened(blob: bytes, most_pixels: int) -> Image.Image:
    """A JPEG whose pixels are not decoded yet. Raises ValueError where there are too many."""
    image = Image.open(io.BytesIO(blob), formats=("JPEG",))
    if image.width * image.height > most_pixels:
        raise ValueError(f"a picture of {image.width}x{image.height} pixels")
    return image


def _track(cell: Mapping[str, Any]) -> FaceTrack:
    crops = [decode_picture(blob) for blob in cell["crops"]]
    return FaceTrack(
        cell["track_id"],
        np.asarray(cell["seconds"], np.float64),
        np.asarray(cell["boxes"], np.float32).reshape(-1, 4),
        np.asarray(cell["landmarks"], np.float32).reshape(-1, 5, 2),
        np.asarray(cell["scores"], np.float32),
        np.stack(crops) if crops else np.zeros((0, 0, 0, 3), np.uint8),
    )
