"""Forged voices made from real ones: what every vocoder leaves behind, without any vocoder's weights.

Copy-synthesis takes a real voice apart into what a speech generator predicts (a mel picture, a filter and a pitch) and
builds it again from that alone: same words, same speaker, forged signal (after Wang and Yamagishi, ICASSP 2023). All
functions are (samples float32 (n,), rate in Hz, rng) → ForgedSound of the same length and loudness; same rng, same result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import scipy.fft
import scipy.ndimage

from ffdv.augment.forgery import ForgedSound, Segments, whole
from ffdv.augment.levels import SILENCE_RMS, rms
from ffdv.augment.spans import Span, draw, draw_count
from ffdv.augment.stft import (
    hann,
    istft,
    mel_filters,
    mel_inverse,
    overlap_add,
    stft,
    windows,
)
from ffdv.augment.world import import_world
from ffdv.records import FloatArray

CopyMethod = Literal["griffin_lim_copy", "world_copy", "lpc_copy", "mel_smooth"]

# Under a twentieth of a second there is no pitch and no filter to speak of: the analyses below need this much.
_SHORTEST_SECONDS = 0.05


def griffin_lim_copy(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    n_ffts: tuple[int, ...] = (512, 1024, 2048),
    mel_bands: tuple[int, ...] = (0, 40, 80, 128),
    iterations: Annotated[tuple[int, int], Span(1, 200)] = (16, 48),
) -> ForgedSound:
    """The voice rebuilt from its magnitudes alone, phase guessed (fast Griffin-Lim: Perraudin et al. 2013).

    n_ffts and mel_bands: one of each is picked; 0 bands keeps the linear spectrum, otherwise it goes through mel bands
    and back, as text-to-speech does. The hop is a quarter of n_fft.
    """
    n_fft, bands, count = _pick(rng, n_ffts), _pick(rng, mel_bands), draw_count(rng, iterations)
    magnitude = np.abs(stft(samples, n_fft=n_fft, hop_length=n_fft // 4))
    if bands:
        magnitude = _through_mel(magnitude, rate, n_fft, bands)
    rebuilt = griffin_lim(magnitude, rng, n_fft=n_fft, hop_length=n_fft // 4, iterations=count, length=len(samples))
    settings = {"n_fft": float(n_fft), "mel_bands": float(bands), "iterations": float(count)}
    return ForgedSound(
        _as_loud(rebuilt, samples), rate, "griffin_lim_copy", whole(len(samples), rate), settings=settings
    )


def world_copy(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    frame_milliseconds: Annotated[tuple[float, float], Span(1, 20)] = (5.0, 5.0),
    pitch_semitones: Annotated[tuple[float, float], Span(-24, 24)] = (0.0, 0.0),
    envelope_sizes: tuple[int, ...] = (0, 24, 60),
) -> ForgedSound:
    """The voice rebuilt by WORLD from pitch, envelope and aperiodicity (Morise et al. 2016).

    pitch_semitones: how far the pitch is moved; envelope_sizes: one is picked, the number of coefficients that the
    envelope is squeezed through, 0 = all of it. Raises ExtraMissing without pyworld.
    """
    world = import_world()
    hop = max(1, round(draw(rng, frame_milliseconds) * rate / 1000))
    milliseconds, semitones, size = 1000 * hop / rate, draw(rng, pitch_semitones), _pick(rng, envelope_sizes)
    settings = {"frame_milliseconds": milliseconds, "pitch_semitones": semitones, "envelope_size": float(size)}

    sound = _long_enough(samples, rate).astype(np.float64)
    # Our estimate, refined by WORLD: its quick one (dio) misses voices with a weak fundamental, its good one takes longer
    # than all the rest.
    coarse, voiced = _pitch(sound.astype(np.float32), rate, hop)
    seconds = np.arange(len(coarse)) * hop / rate
    pitch = world.stonemask(sound, np.where(voiced, coarse, 0.0).astype(np.float64), seconds, rate)
    envelope = world.cheaptrick(sound, pitch, seconds, rate)
    breath = world.d4c(sound, pitch, seconds, rate)
    if size:
        n_fft = 2 * (envelope.shape[1] - 1)
        coded = world.code_spectral_envelope(envelope, rate, size)
        envelope = world.decode_spectral_envelope(coded, rate, n_fft)
    rebuilt = world.synthesize(pitch * 2 ** (semitones / 12), envelope, breath, rate, milliseconds)
    return ForgedSound(
        _as_loud(_fitted(rebuilt, len(samples)), samples),
        rate,
        "world_copy",
        whole(len(samples), rate),
        settings=settings,
    )


def lpc_copy(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    order: Annotated[tuple[int, int], Span(4, 64)] = (12, 24),
    breath: Annotated[tuple[float, float], Span(0, 1)] = (0.05, 0.4),
) -> ForgedSound:
    """The voice as pulses and noise through an all-pole filter: the classic LPC vocoder (Atal and Hanauer 1971).

    order: poles of the filter; breath: share of noise (by power) in voiced stretches.
    """
    poles, noise_share = draw_count(rng, order), draw(rng, breath)
    sound = _long_enough(samples, rate)
    size = 4 * round(0.00625 * rate)  # 25 ms windows, a quarter of it apart
    hop = size // 4
    n_fft = scipy.fft.next_fast_len(2 * size, real=True)
    frames = windows(sound, size=size, hop_length=hop) * hann(size)
    filters, gains = _all_pole(frames, poles)
    pitch, voiced = _pitch(sound, rate, hop)
    excitation = _excitation(pitch, voiced, len(sound), rate=rate, hop=hop, noise_share=noise_share, rng=rng)

    response = gains[:, None] / scipy.fft.rfft(filters, n_fft, axis=1)
    driven = scipy.fft.rfft(windows(excitation, size=size, hop_length=hop) * hann(size), n_fft, axis=1)
    filtered = scipy.fft.irfft(driven * response, n_fft, axis=1)[:, : 2 * size].astype(np.float32)
    rebuilt = overlap_add(filtered, hop)[size // 2 :]
    return ForgedSound(
        _as_loud(_fitted(rebuilt, len(samples)), samples),
        rate,
        "lpc_copy",
        whole(len(samples), rate),
        settings={"order": float(poles), "breath": noise_share},
    )


def mel_smooth(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    mel_bands: tuple[int, ...] = (80, 128),
    time_frames: Annotated[tuple[float, float], Span(0, 20)] = (0.5, 2.5),
    band_width: Annotated[tuple[float, float], Span(0, 10)] = (0.0, 1.5),
    iterations: Annotated[tuple[int, int], Span(1, 200)] = (16, 48),
) -> ForgedSound:
    """The voice from a blurred log-mel picture: generators predict means, so their spectrograms are too smooth.

    time_frames and band_width: standard deviation of the Gaussian blur, in frames of 256 / 16000 s and in bands.
    """
    n_fft, bands = 1024, _pick(rng, mel_bands)
    blur, count = (draw(rng, time_frames), draw(rng, band_width)), draw_count(rng, iterations)
    power = _mel(np.abs(stft(samples, n_fft=n_fft, hop_length=n_fft // 4)), rate, n_fft, bands)
    smooth = np.exp(scipy.ndimage.gaussian_filter(np.log(power + 1e-8), blur)).astype(np.float32)
    magnitude = _from_mel(smooth, rate, n_fft)
    rebuilt = griffin_lim(magnitude, rng, n_fft=n_fft, hop_length=n_fft // 4, iterations=count, length=len(samples))
    settings = {"mel_bands": float(bands), "time_frames": blur[0], "band_width": blur[1]}
    return ForgedSound(_as_loud(rebuilt, samples), rate, "mel_smooth", whole(len(samples), rate), settings=settings)


def mel_splice(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    other: FloatArray | None = None,
    mel_bands: tuple[int, ...] = (80, 128),
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.1, 0.4),
    iterations: Annotated[tuple[int, int], Span(1, 200)] = (16, 48),
) -> ForgedSound:
    """A stretch whose mel frames come from elsewhere (the same voice, or another's), rebuilt and laid into the real sound.

    other: float32 (m,) at the same rate; None takes the frames from another place of `samples`.
    """
    n_fft, bands, hop = 1024, _pick(rng, mel_bands), 256
    start, stop = draw_stretch(len(samples), rng, share=share)
    source = samples if other is None or len(other) < 2 else other
    count = min(stop - start, len(source))
    source_start = int(rng.integers(0, len(source) - count + 1))
    taken = source[source_start : source_start + count]
    magnitude = _through_mel(np.abs(stft(taken, n_fft=n_fft, hop_length=hop)), rate, n_fft, bands)
    rebuilt = griffin_lim(
        magnitude, rng, n_fft=n_fft, hop_length=hop, iterations=draw_count(rng, iterations), length=count
    )
    forged = samples.copy()
    forged[start : start + count] = _as_loud(rebuilt, samples[start : start + count])
    segments = ((start, start + count),) if count else ()
    return ForgedSound(
        cross_fade(samples, forged, segments, rate=rate),
        rate,
        "mel_splice",
        _seconds(segments, rate),
        settings={"mel_bands": float(bands)},
    )


def partial_copy(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    methods: tuple[CopyMethod, ...] = ("griffin_lim_copy", "world_copy", "lpc_copy", "mel_smooth"),
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.1, 0.5),
    stretches: Annotated[tuple[int, int], Span(1, 10)] = (1, 3),
) -> ForgedSound:
    """Real sound with forged stretches inside, cut at its quietest points and cross-faded; segments say where.

    methods: one is picked; share: of the sound that is forged, over all stretches.
    """
    method = methods[int(rng.integers(len(methods)))]
    forged = COPIES[method](samples, rate, rng)
    count = draw_count(rng, stretches)
    pieces = np.array_split(np.arange(len(samples)), count)
    segments = []
    for piece in pieces:
        if len(piece) == 0:
            continue
        start, stop = draw_stretch(len(piece), rng, share=share)
        first, last = (_quietest_near(samples, int(piece[0]) + edge, rate) for edge in (start, stop))
        segments.append((max(first, int(piece[0])), min(max(last, first + 1), int(piece[-1]) + 1)))
    return ForgedSound(
        cross_fade(samples, forged.samples, tuple(segments), rate=rate),
        rate,
        f"partial_{method}",
        _seconds(tuple(segments), rate),
        settings=forged.settings,
    )


def splice_other(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    other: FloatArray,
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.1, 0.5),
) -> ForgedSound:
    """A stretch of another recording laid into this one, as loud as what it replaces; other: float32 (m,), same rate."""
    start, stop = draw_stretch(len(samples), rng, share=share)
    start = _quietest_near(samples, start, rate)
    count = min(max(stop - start, 0), len(other))
    source_start = int(rng.integers(0, len(other) - count + 1))
    forged = samples.copy()
    forged[start : start + count] = _as_loud(other[source_start : source_start + count], samples[start : start + count])
    segments = ((start, start + count),) if count else ()
    return ForgedSound(cross_fade(samples, forged, segments, rate=rate), rate, "splice_other", _seconds(segments, rate))


# Methods that forge all of a sound from itself.
COPIES: dict[CopyMethod, Callable[..., ForgedSound]] = {
    "griffin_lim_copy": griffin_lim_copy,
    "world_copy": world_copy,
    "lpc_copy": lpc_copy,
    "mel_smooth": mel_smooth,
}


def griffin_lim(
    magnitude: FloatArray, rng: np.random.Generator, *, n_fft: int, hop_length: int, iterations: int, length: int
) -> FloatArray:
    """Samples (length,) whose short-time magnitudes come near `magnitude` (frames, bins), from random phases.

    Fast Griffin-Lim with momentum 0.99 (Perraudin, Balazs and Søndergaard 2013).
    """
    angles = np.exp(2j * np.pi * rng.random(magnitude.shape, dtype=np.float32)).astype(np.complex64)
    before = np.zeros_like(angles)
    for _ in range(iterations):
        samples = istft(magnitude * angles, n_fft=n_fft, hop_length=hop_length, length=length)
        rebuilt = stft(samples, n_fft=n_fft, hop_length=hop_length)
        accelerated = rebuilt + np.float32(0.99) * (rebuilt - before)
        before = rebuilt
        angles = accelerated / np.maximum(np.abs(accelerated), np.float32(1e-16))
    return istft(magnitude * angles, n_fft=n_fft, hop_length=hop_length, length=length)


def cross_fade(
    real: FloatArray,
    forged: FloatArray,
    segments: tuple[tuple[int, int], ...],
    *,
    rate: int,
    fade_seconds: float = 0.01,
) -> FloatArray:
    """`forged` within the segments (samples, half-open), `real` outside, faded inside the segment's edges."""
    share = np.zeros(len(real), np.float32)
    for start, stop in segments:
        count = stop - start
        fade = min(round(fade_seconds * rate), count // 2)
        rise = np.minimum(1.0, (np.arange(count) + 1) / (fade + 1))
        share[start:stop] = np.minimum(rise, rise[::-1])
    mixed: FloatArray = real + share * (forged - real)
    return mixed


def draw_stretch(length: int, rng: np.random.Generator, *, share: tuple[float, float]) -> tuple[int, int]:
    """A half-open stretch of samples whose share of the length is drawn from `share`, anywhere."""
    count = min(length, max(1, round(draw(rng, share) * length))) if length else 0
    start = int(rng.integers(0, length - count + 1))
    return start, start + count


def _pick(rng: np.random.Generator, choices: tuple[int, ...]) -> int:
    return int(choices[int(rng.integers(len(choices)))])


def _seconds(segments: tuple[tuple[int, int], ...], rate: int) -> Segments:
    return tuple((start / rate, stop / rate) for start, stop in segments if stop > start)


def _long_enough(samples: FloatArray, rate: int) -> FloatArray:
    return np.pad(samples, (0, max(0, round(_SHORTEST_SECONDS * rate) - len(samples))))


def _fitted(samples: FloatArray, length: int) -> FloatArray:
    fitted = np.zeros(length, np.float32)
    fitted[: min(length, len(samples))] = samples[:length]
    return fitted


def _as_loud(samples: FloatArray, model: FloatArray) -> FloatArray:
    """Scaled to the model's RMS: loudness must not tell the forgery."""
    level = rms(samples)
    return samples if level < SILENCE_RMS else (samples * np.float32(rms(model) / level)).astype(np.float32)


def _quietest_near(samples: FloatArray, place: int, rate: int) -> int:
    """The sample within 50 ms of `place` where 5 ms of sound are quietest: cuts are made in gaps, as an editor would."""
    reach, size = round(0.05 * rate), max(1, round(0.005 * rate))
    start = max(0, place - reach)
    nearby = np.square(samples[start : place + reach])
    if len(nearby) < size:
        return place
    power = np.convolve(nearby, np.ones(size, np.float32), "valid")
    return start + int(np.argmin(power)) + size // 2


def _mel(magnitude: FloatArray, rate: int, n_fft: int, bands: int) -> FloatArray:
    power: FloatArray = magnitude @ mel_filters(rate, n_fft, bands).T
    return power


def _from_mel(mel: FloatArray, rate: int, n_fft: int) -> FloatArray:
    magnitude: FloatArray = np.maximum(np.float32(0.0), mel @ mel_inverse(rate, n_fft, mel.shape[1]).T)
    return magnitude


def _through_mel(magnitude: FloatArray, rate: int, n_fft: int, bands: int) -> FloatArray:
    return _from_mel(_mel(magnitude, rate, n_fft, bands), rate, n_fft)


def _all_pole(frames: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
    """Filters (frames, order + 1) with leading 1, and gains (frames,), by Levinson-Durbin over all frames at once."""
    n_fft = scipy.fft.next_fast_len(2 * frames.shape[1], real=True)
    power = np.abs(scipy.fft.rfft(frames.astype(np.float64), n_fft, axis=1)) ** 2
    correlation = scipy.fft.irfft(power, n_fft, axis=1)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + 1e-6) + 1e-9  # a whisper of white noise keeps silence solvable
    filters = np.zeros((len(frames), order + 1))
    filters[:, 0] = 1.0
    error = correlation[:, 0].copy()
    for step in range(1, order + 1):
        reflection = -np.einsum("fk,fk->f", filters[:, :step], correlation[:, step:0:-1]) / error
        filters[:, 1 : step + 1] += reflection[:, None] * filters[:, step - 1 :: -1][:, :step]
        error *= 1.0 - reflection**2
    return filters.astype(np.float32), np.sqrt(error / frames.shape[1]).astype(np.float32)


def _pitch(samples: FloatArray, rate: int, hop: int) -> tuple[FloatArray, FloatArray]:
    """Pitch in Hz (frames,) and whether it is voiced (frames,), by the normalised autocorrelation of 50 ms, 60 to 400 Hz."""
    size = 2 * round(0.025 * rate)
    frames = windows(samples, size=size, hop_length=hop) * hann(size)
    n_fft = scipy.fft.next_fast_len(2 * size, real=True)
    correlation = scipy.fft.irfft(np.abs(scipy.fft.rfft(frames, n_fft, axis=1)) ** 2, n_fft, axis=1)
    shape = scipy.fft.irfft(np.abs(scipy.fft.rfft(hann(size), n_fft)) ** 2, n_fft)
    shortest, longest = int(rate / 400), min(int(rate / 60), size - 1)
    lags = slice(shortest, longest)
    normal = correlation[:, lags] / (correlation[:, :1] + 1e-9) * (shape[0] / np.maximum(shape[lags], 0.05 * shape[0]))
    lag = normal.argmax(axis=1)
    strength = scipy.ndimage.median_filter(normal.max(axis=1), 5)
    pitch = scipy.ndimage.median_filter(rate / (lag + shortest), 5)
    return pitch.astype(np.float32), strength > 0.5


def _excitation(
    pitch: FloatArray,
    voiced: FloatArray,
    length: int,
    *,
    rate: int,
    hop: int,
    noise_share: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Pulses at the pitch where voiced, noise elsewhere, unit power throughout."""
    places = np.arange(len(pitch)) * hop
    at = np.arange(length)
    hertz = np.interp(at, places, pitch)
    cycles = np.cumsum(hertz / rate)
    pulses = np.diff(np.floor(cycles), prepend=0.0) * np.sqrt(rate / hertz)
    noise = rng.standard_normal(length, dtype=np.float32)
    is_voiced = np.interp(at, places, voiced.astype(np.float32)) > 0.5
    mixed = np.where(is_voiced, np.sqrt(1 - noise_share) * pulses + np.sqrt(noise_share) * noise, noise)
    return mixed.astype(np.float32)
