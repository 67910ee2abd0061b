"""Which track is read when a file has several: the first that says something, and the choice is told."""

from __future__ import annotations

import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition

from ffdv.errors import MediaLimit, MediaUnreadable, StreamMissing
from ffdv.media.opened import Media
from ffdv.media.probe import UNKNOWN_CODEC
from ffdv.media.sound import SILENT_PEAK
from ffdv.media.soundtrack import SoundTrack
from ffdv.records import MOST_CHANNELS, PictureFacts, SoundFacts
from ffdv.sentences import Sentence

LISTEN_SECONDS = 10.0
# DXD has 352,800 Hz, and DSD512 as it is decoded 2,822,400 (2.8 MHz). A header may claim 2 GHz.
MAX_NATIVE_RATE = 3_072_000
MAX_TRACKS = 8  # films have some more, for other languages; listening to each costs a decoding

ASIDE = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.descriptions


def choose_sound(media: Media) -> SoundFacts:
    """The sound track to read: the first, in the order of players, that is not silent in its first seconds.

    With several tracks the choice is noted. Raises StreamMissing when there is none, and MediaLimit (check_sound).
    """
    if not media.facts.has_sound:
        raise StreamMissing(media.path, Sentence("the file has no sound track; give one with sound"))
    sounds = [sound for sound in media.facts.sounds if sound.codec != UNKNOWN_CODEC]
    if not sounds:
        raise MediaUnreadable(
            media.path, Sentence("there is no decoder for its sound; re-encode it, for example as AAC")
        )
    chosen = sounds[0] if len(sounds) == 1 else _chosen_of(media, sounds)
    check_sound(media, chosen.rate, chosen.channels)
    return chosen


def check_sound(media: Media, rate: int, channels: int) -> None:
    """Refuse sound of more samples a second, or channels, than any recorder makes: ten seconds would be gigabytes. Raises MediaLimit."""
    if _is_beyond(rate, channels):
        raise MediaLimit(
            media.path,
            Sentence(
                "its sound claims {rate} samples a second in {channels} channels, {most_rate} in {most_channels} are the most; "
                "convert it (ffmpeg -ar 48000 -ac 2)",
                rate=rate,
                channels=channels,
                most_rate=MAX_NATIVE_RATE,
                most_channels=MOST_CHANNELS,
            ),
        )


def _is_beyond(rate: int, channels: int) -> bool:
    return rate > MAX_NATIVE_RATE or channels > MOST_CHANNELS


def _chosen_of(media: Media, sounds: list[SoundFacts]) -> SoundFacts:
    """The one of several tracks to read, noted."""
    if media.sound_index is None:
        media.sound_index = _first_heard(media, sounds)
        number = 1 + [sound.index for sound in sounds].index(media.sound_index)
        media.note(
            "audio_track",
            Sentence(
                "of {count} sound tracks number {number} is read (the first that is not silent)",
                count=len(sounds),
                number=number,
            ),
        )
    return next(sound for sound in sounds if sound.index == media.sound_index)


def choose_picture(media: Media) -> PictureFacts:
    """The picture track to read: the largest; with several the choice is noted. Raises StreamMissing."""
    if not media.facts.has_picture:
        raise StreamMissing(media.path, Sentence("the file has no moving picture; give a video"))
    pictures = [picture for picture in media.facts.pictures if picture.codec != UNKNOWN_CODEC]
    if not pictures:
        raise MediaUnreadable(
            media.path, Sentence("there is no decoder for its picture; re-encode it, for example as H.264")
        )
    largest = max(pictures, key=lambda picture: (picture.width * picture.height, -picture.index))
    if len(pictures) > 1:
        number = 1 + pictures.index(largest)
        text = Sentence(
            "of {count} picture tracks number {number} is read (the largest)", count=len(pictures), number=number
        )
        media.note("picture_track", text)
    return largest


def _first_heard(media: Media, sounds: list[SoundFacts]) -> int:
    """The stream number of the first track with sound in its first seconds; of the first track when all are silent."""
    with media.demuxer_at_start() as demuxer:
        ranks = {stream.index: _rank(stream) for stream in demuxer.container.streams.audio}
    order = sorted(sounds, key=lambda sound: ranks[sound.index])[:MAX_TRACKS]
    return next((sound for sound in order if _is_heard(media, sound)), order[0]).index


def _is_heard(media: Media, facts: SoundFacts) -> bool:
    """Whether the first seconds of a track hold more than silence; one that cannot be decoded or is beyond the limits is not heard."""
    if _is_beyond(facts.rate, facts.channels):
        return False
    with media.demuxer_at_start() as demuxer:
        track = SoundTrack(media, demuxer, facts, start_seconds=0.0, stop_seconds=LISTEN_SECONDS)
        window = 0, round(LISTEN_SECONDS * (track.rate or 0))
        return any(np.abs(block).max() > SILENT_PEAK for block in track.blocks(window, mono=False))


def _rank(stream: AudioStream) -> tuple[bool, bool, int]:
    """Main tracks before comments and descriptions, default tracks first, then as they lie."""
    return bool(stream.disposition & ASIDE), not stream.disposition & Disposition.default, stream.index
