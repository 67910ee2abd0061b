"""Take away what tells the container instead of the forgery: the same silence, loudness, band and codec for both classes.

Each is (samples float32 (n,), rate in Hz, ...) → samples without chance, so a measurement can be taken raw and neutralised.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.signal
from pydantic import BaseModel, ConfigDict, Field

from ffdv.augment.codec import PictureCodecName, SoundCodecName, transcode_frames, transcode_sound
from ffdv.augment.levels import SILENCE_RMS, amplitude, rms
from ffdv.records import FloatArray, PixelArray

# ITU-R BS.1770-4: blocks of 400 ms every 100 ms; absolute gate -70 LUFS, relative gate 10 LU under the mean.
_BLOCK_SECONDS, _BLOCK_STEP_SECONDS = 0.4, 0.1
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0
_LUFS_OFFSET = -0.691


class NeutraliseSpec(BaseModel):
    """What both classes go through before they are compared; None leaves a step out.

    The defaults are how the project's own training sound was made: trimmed at -35 dB, low-pass 7 kHz, RMS -25 dBFS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trim_below_db: Annotated[float, Field(le=0)] | None = -35.0
    low_hz: Annotated[float, Field(ge=0)] | None = None
    high_hz: Annotated[float, Field(gt=0)] | None = 7000.0
    rms_dbfs: Annotated[float, Field(le=0)] | None = -25.0
    loudness_lufs: Annotated[float, Field(le=0)] | None = None
    sound_codec: SoundCodecName | None = "opus"
    sound_kbps: Annotated[float, Field(gt=0)] = 32.0


def neutralise(samples: FloatArray, rate: int, spec: NeutraliseSpec | None = None) -> FloatArray:
    """Trim, band, loudness, re-encode, in this order (an encoder's choices depend on level and band)."""
    spec = spec or NeutraliseSpec()
    if spec.trim_below_db is not None:
        samples = trim_silence(samples, rate, below_db=spec.trim_below_db)
    if spec.low_hz is not None or spec.high_hz is not None:
        samples = band_pass(samples, rate, low_hz=spec.low_hz or 0.0, high_hz=spec.high_hz or rate / 2)
    if spec.rms_dbfs is not None:
        samples = set_rms(samples, dbfs=spec.rms_dbfs)
    if spec.loudness_lufs is not None:
        samples = set_loudness(samples, rate, lufs=spec.loudness_lufs)
    if spec.sound_codec is not None:
        samples = transcode_sound(samples, rate=rate, name=spec.sound_codec, kbps=spec.sound_kbps)
    return samples


def trim_silence(
    samples: FloatArray, rate: int, *, below_db: float = -35.0, keep_seconds: float = 0.0, frame_seconds: float = 0.02
) -> FloatArray:
    """Without the quiet beginning and end: frames more than -below_db dB under the loudest frame.

    Whole frames are judged, so the cut is within one of them; keep_seconds stay on both sides. Silence stays whole.
    """
    size = max(1, round(frame_seconds * rate))
    starts = np.arange(0, len(samples), size)
    if len(starts) == 0:
        return samples
    energy = np.add.reduceat(np.square(samples, dtype=np.float64), starts)
    power = energy / np.diff(starts, append=len(samples))
    if power.max() < SILENCE_RMS**2:
        return samples
    loud = np.flatnonzero(power >= power.max() * amplitude(below_db) ** 2)
    keep = round(keep_seconds * rate)
    return samples[max(0, loud[0] * size - keep) : min(len(samples), (loud[-1] + 1) * size + keep)]


def trim_edges(samples: FloatArray, *, below_db: float = -35.0) -> FloatArray:
    """From the first to the last sample that is at most -below_db dB under the loudest one; silence stays whole.

    After trim_silence up to a frame of padding is left in the outermost frames, and 20 ms is what encoders leave behind.
    """
    size = np.abs(samples)
    peak = float(size.max(initial=0.0))
    if peak < SILENCE_RMS:
        return samples
    loud = np.flatnonzero(size >= peak * amplitude(below_db))
    return samples[loud[0] : loud[-1] + 1]


def set_rms(samples: FloatArray, *, dbfs: float) -> FloatArray:
    """Scaled to an RMS in dB re full scale (a full-scale sine has -3.01); silence stays. Peaks may pass ±1."""
    level = rms(samples)
    return samples if level < SILENCE_RMS else (samples * np.float32(amplitude(dbfs) / level)).astype(np.float32)


def set_loudness(samples: FloatArray, rate: int, *, lufs: float) -> FloatArray:
    """Scaled to an integrated loudness by ITU-R BS.1770-4; sound below its absolute gate (-70 LUFS) stays."""
    measured = loudness(samples, rate)
    return samples if measured is None else (samples * np.float32(amplitude(lufs - measured))).astype(np.float32)


def loudness(samples: FloatArray, rate: int) -> float | None:
    """Integrated loudness in LUFS of one channel, by ITU-R BS.1770-4; None when nothing passes the absolute gate.

    A sound shorter than one block (0.4 s) is one block.
    """
    if len(samples) == 0:
        return None
    weighted = _k_weighted(samples, rate)
    size, step = min(round(_BLOCK_SECONDS * rate), len(weighted)), round(_BLOCK_STEP_SECONDS * rate)
    sums = np.concatenate([[0.0], np.cumsum(np.square(weighted))])
    starts = np.arange(0, len(weighted) - size + 1, step)
    power = (sums[starts + size] - sums[starts]) / size
    power = power[power > 10 ** ((_ABSOLUTE_GATE - _LUFS_OFFSET) / 10)]
    if len(power) == 0:
        return None
    gated = power[power > power.mean() * 10 ** (_RELATIVE_GATE / 10)]
    return float(_LUFS_OFFSET + 10 * np.log10(gated.mean()))


def band_pass(samples: FloatArray, rate: int, *, low_hz: float = 0.0, high_hz: float) -> FloatArray:
    """Only low_hz to high_hz left: linear phase, same length and place; 60 dB down about 250 Hz beyond the edges.

    0 Hz or the Nyquist frequency as an edge means no limit on that side.
    """
    nyquist = rate / 2
    edges = [edge for edge in (low_hz, high_hz) if 0 < edge < nyquist]
    if not edges or samples.size == 0:
        return samples
    # Kaiser's formula: 60 dB and a transition of 250 Hz.
    taps, beta = scipy.signal.kaiserord(60.0, 250.0 / nyquist)
    taps |= 1
    filters = scipy.signal.firwin(taps, edges, window=("kaiser", beta), fs=rate, pass_zero=low_hz <= 0)
    filtered: FloatArray = scipy.signal.oaconvolve(samples, filters.astype(np.float32))[
        taps // 2 : taps // 2 + len(samples)
    ]
    return filtered


def neutralise_frames(
    frames: PixelArray, *, codec: PictureCodecName = "h264", constant_quality: int = 23
) -> PixelArray:
    """Frames of both classes through one encoder; uint8 (frames, h, w, 3) in and out."""
    return transcode_frames(frames, name=codec, constant_quality=constant_quality)


def set_brightness(
    frames: PixelArray, *, mean: float = 110.0, deviation: float = 50.0, saturation: float = 50.0
) -> PixelArray:
    """Frames of one clip at one brightness, contrast and saturation; uint8 (frames, h, w, 3) in and out.

    mean and deviation of the grey levels, saturation: mean of largest less smallest channel, all over the whole clip. A picture
    without contrast or colour stays without; what would pass 0 or 255 is clipped, so a dark clip ends a little beside the mark.
    """
    if frames.size == 0:
        return frames
    # ITU-R BT.601, as the probes of the picture weigh colours.
    grey = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    spread, middle = float(grey.std()), float(grey.mean())
    gain = deviation / spread if spread > 1.0 else 1.0
    colour = frames - grey[..., None]
    vivid = float(np.mean(frames.max(axis=-1).astype(np.float32) - frames.min(axis=-1)))
    colour *= np.float32(saturation / vivid if vivid > 1.0 else 1.0)
    levelled = (grey[..., None] - middle) * np.float32(gain) + np.float32(mean) + colour
    even: PixelArray = np.rint(np.clip(levelled, 0, 255)).astype(np.uint8)
    return even


def _k_weighted(samples: FloatArray, rate: int) -> np.ndarray:
    """BS.1770's head shelf and low cut at any rate, from the analogue forms behind its 48 kHz coefficients."""
    # Parameters recovered from the standard's table (De Man, "Evaluation of implementations of the EBU R128 loudness
    # measurement", AES 2018): shelf +4.0 dB at 1681.97 Hz, high-pass at 38.14 Hz.
    tangent, quality = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    scale = 1 + tangent / quality + tangent**2
    shelf = [
        (high + middle * tangent / quality + tangent**2) / scale,
        2 * (tangent**2 - high) / scale,
        (high - middle * tangent / quality + tangent**2) / scale,
        1.0,
        2 * (tangent**2 - 1) / scale,
        (1 - tangent / quality + tangent**2) / scale,
    ]
    tangent, quality = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    scale = 1 + tangent / quality + tangent**2
    low_cut = [1.0, -2.0, 1.0, 1.0, 2 * (tangent**2 - 1) / scale, (1 - tangent / quality + tangent**2) / scale]
    weighted: np.ndarray = scipy.signal.sosfilt([shelf, low_cut], samples.astype(np.float64))
    return weighted
