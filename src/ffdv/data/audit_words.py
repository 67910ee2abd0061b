"""What each shortcut is called in plain words, whether a net sees it, and what takes it away."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ffdv.sentences import Sentence


@dataclass(frozen=True)
class Shortcut:
    """A family of probes. meaning: in plain words; remedy: the neutraliser's name, empty when there is none.

    in_header: only a reader of the file sees it, not a net on decoded sound or pictures.
    """

    meaning: Sentence
    remedy: str
    in_header: bool = False


# What a neutraliser does to both classes alike; its name is what reports advise.
REMEDIES: Mapping[str, Sentence] = {
    "trim": Sentence("cut the silence at both ends of every clip"),
    "length": Sentence("cut sound and picture of every clip to the same stretch, and judge windows of one length"),
    "loudness": Sentence("bring every clip to one loudness"),
    "band": Sentence("limit every clip to one band and one sampling rate"),
    "re-encode": Sentence("pass every clip through one encoder at one rate, without tags"),
    "mono": Sentence("take the mean of the channels"),
    "resize": Sentence("bring every picture to one size and frame rate"),
    "brightness": Sentence("bring every picture to one brightness, contrast and saturation"),
    "crop": Sentence("cut the picture to what is inside its borders"),
    "both senses": Sentence("keep only clips that have what the others have, or judge the senses apart"),
}

# First match counts.
_FAMILIES: tuple[tuple[str, Shortcut], ...] = (
    (r"no sound$", Shortcut(Sentence("whether there is a sound track"), "both senses")),
    (r"no picture$", Shortcut(Sentence("whether there is a picture track"), "both senses")),
    (r"sound_leading_", Shortcut(Sentence("silence at the beginning of the sound"), "trim")),
    (r"sound_trailing_", Shortcut(Sentence("silence at the end of the sound"), "trim")),
    (r"sound_silent_share", Shortcut(Sentence("how much of the sound is silent"), "trim")),
    (
        r"sound_minus_picture_seconds",
        Shortcut(Sentence("how much longer the sound is than the picture"), "length", in_header=True),
    ),
    (r".*start_seconds", Shortcut(Sentence("when the tracks begin"), "length", in_header=True)),
    (
        r"(sound|picture|container)_(duration|decoded)_seconds|picture_num_frames",
        Shortcut(Sentence("how long the clip is"), "length"),
    ),
    (r".*_bit_rate", Shortcut(Sentence("the bit rate"), "re-encode", in_header=True)),
    (r"container_size_bytes", Shortcut(Sentence("the size of the file"), "re-encode", in_header=True)),
    (r"sound_(level|peak|crest|clipped|dc)", Shortcut(Sentence("how loud the sound is"), "loudness")),
    (r"sound_noise_floor", Shortcut(Sentence("how loud the quietest parts are"), "trim")),
    (r"sound_(band|rolloff)", Shortcut(Sentence("which frequencies the sound has"), "band")),
    (r"sound_rate", Shortcut(Sentence("the sampling rate"), "band")),
    (r"sound_channel", Shortcut(Sentence("the channels of the sound"), "mono")),
    (
        r"picture_(width|height|fps|sample_aspect|rotation)",
        Shortcut(Sentence("the size, shape or frame rate of the picture"), "resize"),
    ),
    (
        r"picture_(brightness|contrast|saturation)",
        Shortcut(Sentence("the brightness and colour of the picture"), "brightness"),
    ),
    (
        r"picture_(sharpness|noise|blockiness)",
        Shortcut(Sentence("the sharpness and coding of the picture"), "re-encode"),
    ),
    (r"picture_border", Shortcut(Sentence("borders around the picture"), "crop")),
    (r"picture_change", Shortcut(Sentence("how much the picture moves"), "")),
    (r"tag_|container_num_tags", Shortcut(Sentence("what the file's tags say"), "re-encode", in_header=True)),
    (r"(sound|picture)_(codec|profile|pixel_format)", Shortcut(Sentence("the codec and its settings"), "re-encode")),
    (r"container", Shortcut(Sentence("the container"), "re-encode", in_header=True)),
)

UNKNOWN = Shortcut(Sentence("a fact of its own"), "")


def shortcut_of(name: str) -> Shortcut:
    """The family of a probe by its name.

    >>> shortcut_of("sound_trailing_zeros_seconds").remedy, shortcut_of("tag_encoder = Lavf58").remedy
    ('trim', 're-encode')
    >>> shortcut_of("no sound").remedy, shortcut_of("no sound_bit_rate").meaning
    ('both senses', 'the bit rate')
    """
    spellings = (name, name.removeprefix("no "))
    return next(
        (family for pattern, family in _FAMILIES if any(re.match(pattern, text) for text in spellings)), UNKNOWN
    )


def with_unit(name: str, value: float) -> Sentence:
    """A probe's value as people read it.

    >>> with_unit("sound_trailing_silence_seconds", 0.023), with_unit("sound_bit_rate", 128300.0)
    ('23 ms', '128.3 kbit/s')
    >>> with_unit("sound_rate", 44100.0), with_unit("container_num_tags", 3.0)
    ('44100 Hz', '3')
    """
    if name.endswith("_bit_rate"):
        return Sentence("{value:.5g} kbit/s", value=value / 1000)
    kind = "hz" if name == "sound_rate" else name.rsplit("_", 1)[-1]
    if kind == "seconds" and abs(value) < 1.0:
        return Sentence("{value:.3g} ms", value=value * 1000)
    of_kind = {
        "seconds": Sentence("{value:.4g} s", value=value),
        "bytes": Sentence("{value:.6g} bytes", value=value),
        "levels": Sentence("{value:.4g} grey levels", value=value),
        "hz": Sentence("{value:.6g} Hz", value=value),
        "db": Sentence("{value:.4g} dB", value=value),
    }
    return of_kind.get(kind, Sentence("{value:.4g}", value=value))


def strength(auc: float) -> Sentence:
    """How much an AUC gives away, in a word.

    >>> strength(0.97), strength(0.55)
    ('almost wholly', 'faintly')
    """
    if auc >= 0.95:
        return Sentence("almost wholly")
    if auc >= 0.8:
        return Sentence("strongly")
    return Sentence("clearly") if auc >= 0.65 else Sentence("faintly")
