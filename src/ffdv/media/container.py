"""Opening a container safely: a regular file, a known format, and nothing touched but the file itself."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Self

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from ffdv.arguments import one_file
from ffdv.errors import MediaError, MediaLimit, MediaNotFound, MediaUnreadable
from ffdv.media.boxes import BoxFacts, scan_boxes
from ffdv.media.decode import ContainerReading, Reading
from ffdv.media.limits import GIGABYTE, Limits
from ffdv.media.longmp4 import LongMp4, LongReading, View
from ffdv.sentences import Sentence, foreign

# Only formats that hold their own media: no playlists or scripts (concat, hls, dash, sdp), no image sequences,
# no devices. Without this list an ffconcat script named .mp4 returns another file's frames.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,"
    "wav,w64,mp3,flac,aac,amr,aiff,caf,gif,ivf"
)


# FFmpeg looks for DTS hidden in WAV files by probing again with every packet: 45 ms instead of 3 for a few seconds.
WAVE_PROBE_BYTES = "32768"
# The header of an MP4 says all that decoding needs. Without a picture's pixel format to look for, FFmpeg would read on through
# five seconds of packets: 1.1 to 1.4 ms of opening instead of 0.4 to 0.7 (7 s at 384x384 and 10 s of 720p).
HEADER_PROBE_BYTES = "2048"


@dataclass(frozen=True)
class RegularFile:
    """A file that exists: path as the user gave it (for messages), resolved (for opening), and its size."""

    path: Path
    resolved: Path
    size_bytes: int


def regular_file(path: Path | str, limits: Limits) -> RegularFile:
    """An existing regular file within the size limit; its content is not looked at.

    Raises MediaNotFound, MediaUnreadable (empty) or MediaLimit, RecipeError for what is no path at all.
    """
    path = one_file(path)
    try:
        resolved = Path(path).resolve(strict=True)
        status = resolved.stat()
    except (OSError, ValueError, RuntimeError) as error:  # absent, looped, too long, or with a null byte
        raise MediaNotFound(
            path, Sentence("no such file ({why}); check the name and the folder", why=_reason(error))
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaNotFound(
            path, Sentence("not a regular file (a folder, device or pipe); give the path of a media file")
        )
    if status.st_size == 0:
        raise MediaUnreadable(path, Sentence("the file is empty (0 bytes); copy or download it again"))
    if status.st_size > limits.max_bytes:
        size, most = status.st_size / GIGABYTE, limits.max_bytes / GIGABYTE
        raise MediaLimit(
            path,
            Sentence(
                "the file has {size:.3g} GB, the limit is {most:.3g} GB; raise it (FFDV_MAX_GB) or cut the file",
                size=size,
                most=most,
            ),
        )
    return RegularFile(Path(path), resolved, status.st_size)


@dataclass(frozen=True)
class Layout:
    """What an MP4's boxes say: facts that FFmpeg keeps to itself, and the tables where there are very many packets."""

    boxes: BoxFacts
    long: LongMp4 | None = None


class Demuxer:
    """An opened file: FFmpeg's container, and what reads its tracks. layout may be given to the next opening of the same file."""

    def __init__(self, container: InputContainer, layout: Layout, view: View | None) -> None:
        self.container = container
        self.layout = layout
        self._view = view
        self._files: list[BufferedReader] = []

    def reading(self, stream: AudioStream | VideoStream) -> Reading:
        """One track to be read; one at a time."""
        reading = ContainerReading(self.container, stream)
        long = self.layout.long
        if long is None:
            return reading
        self._files.append(long.path.open("rb"))
        return LongReading(reading, self._files[-1], long.tracks[stream.id])

    def bit_rate(self, stream: AudioStream | VideoStream) -> int | None:
        """What FFmpeg says, or would say of the whole file, in bits a second; None where nothing is known."""
        if self.layout.long is not None:
            return self.layout.long.tracks[stream.id].bit_rate or None
        return (stream.codec_context.bit_rate or None) if stream.codec_context else None

    def close(self) -> None:
        """Let the file go."""
        self.container.close()
        for file in (self._view, *self._files):
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_demuxer(file: RegularFile, limits: Limits, *, lean: bool = False, layout: Layout | None = None) -> Demuxer:
    """Open a file for demuxing; no packet is decoded for the caller.

    Only the `file` protocol and FORMATS are let through, bad tags are replaced, and opening is bounded in time.
    lean: the facts of the picture are known or not wanted, so FFmpeg need not decode a picture to learn its pixel format
    (10 ms at 720p). layout: where the file has been opened before. Raises MediaUnreadable or MediaLimit.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_pixels": str(limits.max_side**2)}
    head = _head(file.resolved)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        options["probesize"] = WAVE_PROBE_BYTES
    quick = {**options, "skip_frame": "all"}
    boxes = _believable_boxes(file) if layout is None else layout.boxes
    if head[4:8] == b"ftyp":
        quick["probesize"] = HEADER_PROBE_BYTES
        if layout is None:
            layout = Layout(boxes, LongMp4.of(file.resolved, boxes, quick))
    view = layout.long.view() if layout is not None and layout.long is not None else None
    try:
        container = av.open(
            view or str(file.resolved),
            "r",
            options=quick if lean else options,
            metadata_errors="replace",
            timeout=limits.open_seconds,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        if view is not None:
            view.close()
        raise _unreadable(file.path, error, limits) from error
    if layout is None:  # a MOV file may begin otherwise
        layout = Layout(boxes if container.format.name.startswith("mov") else BoxFacts())
    return Demuxer(container, layout, view)


def _believable_boxes(file: RegularFile) -> BoxFacts:
    """The boxes of a file, if it begins with any. Raises MediaLimit where FFmpeg would take gigabytes for what they claim."""
    try:
        boxes = scan_boxes(file.resolved)
    except OSError:  # the container's own opening tells it better
        return BoxFacts()
    if not boxes.whole:
        raise MediaLimit(
            file.path,
            Sentence(
                "its header has more boxes than any real MP4 or hides some; copy it into a new one (ffmpeg -c copy)"
            ),
        )
    claimed = boxes.claims.beyond(file.size_bytes)
    if claimed is None:
        return boxes
    if boxes.claims.bytes_needed > file.size_bytes:
        text = Sentence(
            "its header claims {count} samples, more than such a file can hold; copy it into a new one (ffmpeg -c copy)",
            count=claimed,
        )
    else:
        text = Sentence(
            "its header lists {count} samples, more than can be looked at; cut it into parts of an hour "
            "(ffmpeg -c copy -f segment -segment_time 3600)",
            count=claimed,
        )
    raise MediaLimit(file.path, text)


_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")  # what files begin with
_DOCUMENTS = (b"%PDF", b"PK\x03\x04", b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML", b"Rar!", b"7z\xbc\xaf")


def _head(path: Path) -> bytes:
    """The file's first 12 bytes: enough to know a WAV or an MP4."""
    try:
        with path.open("rb") as file:
            return file.read(12)
    except OSError:  # the container's own opening tells it better
        return b""


def _unreadable(path: Path, error: BaseException, limits: Limits) -> MediaError:
    """The error for a file that could not be opened, in the user's words."""
    if isinstance(error, av.error.ExitError):
        return MediaLimit(
            path,
            Sentence(
                "opening took longer than open_seconds {most:g} s; raise the limit or copy the file nearer",
                most=limits.open_seconds,
            ),
        )
    if isinstance(error, av.error.PermissionError):
        return MediaUnreadable(path, Sentence("no permission to read the file; change its permissions"))
    head = _head(path)
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP"):
        return MediaUnreadable(path, Sentence("is a picture, no video or sound; give the clip itself"))
    if head.startswith(_DOCUMENTS):
        return MediaUnreadable(path, Sentence("is a document or an archive, no video or sound; give the clip itself"))
    return MediaUnreadable(
        path,
        Sentence(
            "not readable as sound or video ({why}); copy or download it again, or re-export it as MP4",
            why=_reason(error),
        ),
    )


def _reason(error: BaseException) -> Sentence:
    """What the library says, without codes, file names and line breaks."""
    if isinstance(error, ValueError) and "null" in str(error):
        return foreign("embedded null byte")
    text = getattr(error, "strerror", None) or type(error).__name__
    return foreign(" ".join(str(text).split()).rstrip(".").lower())
