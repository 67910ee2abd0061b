"""Round trips through lossy codecs in memory: what an encoder takes away, nothing else.

PyAV's codec contexts are driven directly, without a container: no file, no header, one array in and one of the same
shape out, the codec's delay taken off. Sound comes back at the rate it went in, pictures at their size.

    samples ─ resample ─ cut into the codec's frames ─ encode ─ decode ─ drop the delay ─ resample ─▶ same length
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from ffdv.errors import RecipeError
from ffdv.records import FloatArray, PixelArray, float_samples
from ffdv.svt import kept_priority

if TYPE_CHECKING:
    import av
    import av.packet

SoundCodecName = Literal["mp3", "aac", "opus", "g711_mu", "g711_a", "g722", "amr"]
PictureCodecName = Literal["h264", "hevc", "vp9", "av1"]


@dataclass(frozen=True)
class SoundCodec:
    """One codec: FFmpeg's names, the sample rates it takes, what its decoder adds in front.

    kbps: the lowest and highest bit rate for one channel, None where it is fixed; rungs: the only rates that it knows.
    delay_samples is at the codec's rate, measured by correlation (tests/augment/test_codec.py measures it again).
    """

    encoder: str
    decoder: str
    rates: tuple[int, ...]
    delay_samples: int = 0
    kbps: tuple[float, float] | None = None
    rungs: tuple[float, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


# aac_coder=fast takes a fifth of the time of the default search at the same bit rate, LAME at level 7 and Opus at
# complexity 3 about half (4 s at 16 kHz).
SOUND_CODECS: dict[str, SoundCodec] = {
    "mp3": SoundCodec(
        "libmp3lame",
        "mp3float",
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        0,
        (8, 320),
        options=(("compression_level", "7"),),
    ),
    "aac": SoundCodec(
        "aac",
        "aac",
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        1024,
        (8, 256),
        options=(("aac_coder", "fast"),),
    ),
    "opus": SoundCodec(
        "libopus", "opus", (8_000, 12_000, 16_000, 24_000, 48_000), 0, (6, 256), options=(("compression_level", "3"),)
    ),
    "g711_mu": SoundCodec("pcm_mulaw", "pcm_mulaw", (8_000,)),
    "g711_a": SoundCodec("pcm_alaw", "pcm_alaw", (8_000,)),
    "g722": SoundCodec("g722", "g722", (16_000,), 22),
    "amr": SoundCodec(
        "libopencore_amrnb", "amrnb", (8_000,), 40, (4.75, 12.2), (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)
    ),
}

_SAMPLE_FORMATS = ("fltp", "flt", "s16p", "s16")
# x265 (4.x in PyAV 18) writes beyond its buffers when pictures under about 50 pixels a side follow each other.
_SMALLEST_SIDE = 64


@dataclass(frozen=True)
class PictureCodec:
    """One codec: FFmpeg's names, its worst constant quality, the option that trades time for size and a quick value of it.

    options: one thread, so that the same pixels give the same bytes, and no talk on stderr.
    """

    encoder: str
    decoder: str
    worst_quality: int
    speed_option: str
    quick: str
    options: tuple[tuple[str, str], ...] = ()


# One 256×256 frame: x264 4 ms, x265 7 ms, most of it opening the encoder.
PICTURE_CODECS: dict[PictureCodecName, PictureCodec] = {
    "h264": PictureCodec("libx264", "h264", 51, "preset", "veryfast"),
    "hevc": PictureCodec(
        "libx265",
        "hevc",
        51,
        "preset",
        "superfast",
        (("x265-params", "log-level=none:pools=none:frame-threads=1"),),
    ),
    "vp9": PictureCodec(
        "libvpx-vp9", "vp9", 63, "cpu-used", "6", (("deadline", "realtime"), ("row-mt", "0"), ("b", "0"))
    ),
    "av1": PictureCodec("libsvtav1", "libdav1d", 63, "preset", "10", (("svtav1-params", "lp=1"),)),
}


def sound_codec_exists(name: SoundCodecName) -> bool:
    """Whether this FFmpeg has both sides of the codec (AMR is missing from some builds)."""
    return _both_sides(SOUND_CODECS[name].encoder, SOUND_CODECS[name].decoder)


def picture_codec_exists(name: PictureCodecName) -> bool:
    """Whether this FFmpeg has both sides of the codec."""
    return _both_sides(PICTURE_CODECS[name].encoder, PICTURE_CODECS[name].decoder)


@cache
def _both_sides(encoder: str, decoder: str) -> bool:
    import av

    try:
        av.Codec(encoder, "w")
        av.Codec(decoder, "r")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def transcode_sound(
    samples: FloatArray, *, rate: int, name: SoundCodecName, kbps: float | None = None, codec_rate: int | None = None
) -> FloatArray:
    """The sound after one encode and decode; same length, same place in time.

    samples float32 (n,); kbps is moved into what the codec can do; codec_rate: the rate to encode at, None = the
    lowest of the codec's rates that is not below the sound's. Values beyond ±1 are clipped, as encoders do.
    Raises RecipeError when this FFmpeg lacks the codec, ValueError on samples that are no finite sound (LAME ends the
    process on a NaN, others pass it on as noise).
    """
    samples = float_samples(samples)
    codec = SOUND_CODECS[name]
    if not sound_codec_exists(name):
        raise RecipeError(f"this FFmpeg has no {codec.encoder} encoder; leave {name!r} out of the recipe")
    if samples.size == 0:
        return samples
    encode_rate = _nearest_rate(codec.rates, codec_rate or rate)
    lower = _resampled(samples, rate, encode_rate)
    if lower.size == 0:  # a sample or two, less than one at the codec's rate
        return samples
    decoded, decoded_rate = _round_trip(lower, codec, encode_rate, kbps)
    decoded = decoded[round(codec.delay_samples * decoded_rate / encode_rate) :]
    return _fitted(_resampled(decoded, decoded_rate, rate), len(samples))


def transcode_jpeg(
    picture: PixelArray, *, quality: int, subsampling: Literal["4:4:4", "4:2:0"] = "4:2:0"
) -> PixelArray:
    """The picture after JPEG; uint8 (h, w, 3) or (h, w) in and out; quality 1 (worst) to 95."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(picture).save(
        encoded, "JPEG", quality=quality, subsampling=subsampling if picture.ndim == 3 else -1
    )
    decoded: PixelArray = np.array(Image.open(encoded), dtype=np.uint8)
    return decoded


def transcode_frames(
    frames: PixelArray, *, name: PictureCodecName, constant_quality: int, preset: str | None = None
) -> PixelArray:
    """Frames after H.264, HEVC, VP9 or AV1, 4:2:0; uint8 (frames, h, w, 3) in and out.

    constant_quality 0 (best) to 51 (H.264, HEVC) or 63 (VP9, AV1; worst); preset of the encoder (VP9: cpu-used), None = a
    quick one. Odd and tiny sizes are padded by their edge for the encoder and cut back.
    Raises RecipeError when the quality is outside, or this FFmpeg lacks the codec.
    """
    codec = PICTURE_CODECS[name]
    if not 0 <= constant_quality <= codec.worst_quality:
        raise RecipeError(f"constant_quality must be 0 to {codec.worst_quality}, got {constant_quality}")
    if not picture_codec_exists(name):
        raise RecipeError(f"this FFmpeg has no {codec.encoder} encoder; leave {name!r} out of the recipe")
    if len(frames) == 0:
        return frames
    height, width = frames.shape[1:3]
    more = [max(_SMALLEST_SIDE - side, side % 2) for side in (height, width)]
    even = np.pad(frames, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), mode="edge")
    coded = _coded_frames(even, codec, constant_quality, preset or codec.quick)
    decoded: PixelArray = np.stack([frame.to_ndarray(format="rgb24") for frame in coded]).astype(np.uint8, copy=False)
    return decoded[:, :height, :width]


def _nearest_rate(rates: tuple[int, ...], wanted: int) -> int:
    """The lowest rate that keeps the whole band, or the highest that there is."""
    return min((rate for rate in rates if rate >= wanted), default=max(rates))


def _resampled(samples: FloatArray, rate: int, new_rate: int) -> FloatArray:
    import soxr

    if rate == new_rate:
        return samples
    resampled: FloatArray = soxr.resample(samples, rate, new_rate).astype(np.float32, copy=False)
    return resampled


def _fitted(samples: FloatArray, length: int) -> FloatArray:
    """Cut or zero-padded at the end."""
    return samples[:length] if len(samples) >= length else np.pad(samples, (0, length - len(samples)))


def _allowed_kbps(codec: SoundCodec, kbps: float | None) -> float | None:
    if codec.kbps is None or kbps is None:
        return None
    if codec.rungs:
        return min(codec.rungs, key=lambda rung: abs(rung - kbps))
    low, high = codec.kbps
    return min(max(kbps, low), high)


def _round_trip(samples: FloatArray, codec: SoundCodec, rate: int, kbps: float | None) -> tuple[FloatArray, int]:
    """Decoded samples with the codec's delay still in front, and the decoder's rate (Opus decodes at 48 kHz)."""
    import av

    encoder = av.CodecContext.create(codec.encoder, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    known = {layout.name for layout in encoder.codec.audio_formats or ()}
    encoder.format = next(name for name in _SAMPLE_FORMATS if name in known)
    encoder.sample_rate, encoder.layout, encoder.options = rate, "mono", dict(codec.options)
    allowed = _allowed_kbps(codec, kbps)
    if allowed is not None:
        encoder.bit_rate = round(allowed * 1000)
    encoder.open()

    decoder = av.CodecContext.create(codec.decoder, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = rate, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in _sound_packets(samples, encoder) for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    return np.concatenate([_float_values(frame) for frame in frames]), frames[0].sample_rate


def _sound_packets(samples: FloatArray, encoder: av.AudioCodecContext) -> Iterator[av.packet.Packet[av.AudioStream]]:
    """The sound as packets; silence behind it pushes the last samples through the codec's delay."""
    import av

    step = encoder.frame_size or len(samples)
    tail = 4 * step if encoder.frame_size else 0
    padded = np.pad(samples, (0, tail + -(len(samples) + tail) % step))
    clipped = np.clip(padded, -1.0, 1.0)
    coded = np.round(clipped * 32767).astype(np.int16) if "s16" in encoder.format.name else clipped
    for start in range(0, len(coded), step):
        frame = av.AudioFrame.from_ndarray(coded[None, start : start + step], format=encoder.format.name, layout="mono")
        frame.sample_rate, frame.pts = encoder.sample_rate, start
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _float_values(frame: av.AudioFrame) -> FloatArray:
    values = frame.to_ndarray().reshape(-1)
    return values.astype(np.float32) / np.float32(32768) if values.dtype == np.int16 else values.astype(np.float32)


def _coded_frames(
    frames: PixelArray, codec: PictureCodec, constant_quality: int, preset: str
) -> Iterator[av.VideoFrame]:
    """Encoded and decoded frames in order; one thread, so that the same pixels give the same bytes."""
    import av

    encoder = av.CodecContext.create(codec.encoder, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = frames.shape[1:3]
    encoder.pix_fmt, encoder.framerate, encoder.thread_count = "yuv420p", Fraction(25), 1
    encoder.time_base = Fraction(1, 25)
    encoder.options = {codec.speed_option: preset, "crf": str(constant_quality), **dict(codec.options)}
    with kept_priority(codec.encoder):
        encoder.open()
    decoder = av.CodecContext.create(codec.decoder, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    for index, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        for packet in encoder.encode(frame):
            yield from decoder.decode(packet)
    for packet in encoder.encode(None):
        yield from decoder.decode(packet)
    yield from decoder.decode(None)
