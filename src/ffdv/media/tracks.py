"""Which track is read when a file has several: the first that says something, and the choice is told."""

from __future__ import annotations

import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition

from ffdv.errors import StreamMissing
from ffdv.media.opened import Media
from ffdv.media.sound import SILENT_PEAK
from ffdv.media.soundtrack import SoundTrack
from ffdv.records import PictureFacts, SoundFacts

LISTEN_SECONDS = 10.0

ASIDE = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.descriptions


def choose_sound(media: Media) -> SoundFacts:
    """The sound track to read: the first, in the order of players, that is not silent in its first seconds.

    With several tracks the choice is noted. Raises StreamMissing when there is none.
    """
    sounds = media.facts.sounds
    if not sounds:
        raise StreamMissing(media.path, "the file has no sound track; give one with sound")
    if len(sounds) == 1:
        return sounds[0]
    if media.sound_index is None:
        media.sound_index = _first_heard(media)
        number = 1 + [sound.index for sound in sounds].index(media.sound_index)
        media.note(
            "audio_track", f"of {len(sounds)} sound tracks number {number} is read (the first that is not silent)"
        )
    return next(sound for sound in sounds if sound.index == media.sound_index)


def choose_picture(media: Media) -> PictureFacts:
    """The picture track to read: the largest; with several the choice is noted. Raises StreamMissing."""
    pictures = media.facts.pictures
    if not pictures:
        raise StreamMissing(media.path, "the file has no moving picture; give a video")
    largest = max(pictures, key=lambda picture: (picture.width * picture.height, -picture.index))
    if len(pictures) > 1:
        text = f"of {len(pictures)} picture tracks number {1 + pictures.index(largest)} is read (the largest)"
        media.note("picture_track", text)
    return largest


def _first_heard(media: Media) -> int:
    """The stream number of the first track with sound in its first seconds; of the first track when all are silent."""
    with media.container_at_start() as container:
        order = sorted(container.streams.audio, key=_rank)
        indices = [stream.index for stream in order]
    return next((index for index in indices if _is_heard(media, index)), indices[0])


def _is_heard(media: Media, index: int) -> bool:
    """Whether the first seconds of a track hold more than silence; a track that cannot be decoded is not heard."""
    facts = next(sound for sound in media.facts.sounds if sound.index == index)
    with media.container_at_start() as container:
        track = SoundTrack(media, container, facts, start_seconds=0.0, stop_seconds=LISTEN_SECONDS)
        window = 0, round(LISTEN_SECONDS * (track.rate or 0))
        return any(np.abs(block).max() > SILENT_PEAK for block in track.blocks(window, mono=False))


def _rank(stream: AudioStream) -> tuple[bool, bool, int]:
    """Main tracks before comments and descriptions, default tracks first, then as they lie."""
    return bool(stream.disposition & ASIDE), not stream.disposition & Disposition.default, stream.index
