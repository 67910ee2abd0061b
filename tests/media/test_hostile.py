"""Files made to mislead: nothing but the named file is opened, and every refusal is one sentence."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_clips import noise, numbered, tone

from ffdv.errors import MediaDamaged, MediaEncrypted, MediaError, MediaLimit, MediaNotFound, MediaUnreadable
from ffdv.features.recipe import extract
from ffdv.media.limits import Limits
from ffdv.media.probe import probe
from ffdv.media.read import iter_samples, open_media, read_frames, read_samples
from ffdv.media.write import write_media


def read_all(path: Path | str, limits: Limits | None = None) -> tuple[int, int]:
    """Samples and frames in a file, read to the end."""
    with open_media(path, limits=limits) as media:
        samples = read_samples(media).num_samples if media.facts.has_sound else 0
        frames = sum(1 for _ in read_frames(media)) if media.facts.has_picture else 0
        return samples, frames


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another file, that no script may lead us to."""
    return write_media(tmp_path / "secret.mp4", sound=tone(1.0), frames=numbered(10))


@pytest.fixture
def visits() -> Iterator[tuple[int, list[str]]]:
    """A port on this machine, and who has knocked there."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                seen.append(str(address))
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], seen
        done.set()
        thread.join()


SCRIPTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{secret}'\n",
    "relative ffconcat": "ffconcat version 1.0\nfile secret.mp4\nduration 1\n",
    "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
    "network playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "network ffconcat": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.mp4\n",
    "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="video/mp4"><BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "windows playlist": "[Reference]\nRef1=http://127.0.0.1:{port}/a.asf\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:{port}/a.png"/></svg>',
}


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".mkv", ""])
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_no_media(
    tmp_path: Path, secret: Path, visits: tuple[int, list[str]], script: str, suffix: str
) -> None:
    port, knocks = visits
    path = tmp_path / f"harmless{suffix}"
    path.write_text(SCRIPTS[script].format(secret=secret, port=port))

    with pytest.raises(MediaUnreadable, match="harmless") as caught:
        read_all(path)

    assert "\n" not in str(caught.value)
    assert knocks == []


@pytest.mark.parametrize(
    ("ending", "says"), [("jpeg", "is a picture"), ("png", "is a picture"), ("pdf", "is a document")]
)
def test_a_picture_or_a_document_is_called_what_it_is(tmp_path: Path, ending: str, says: str) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "clip.mp4", format=ending)

    with pytest.raises(MediaUnreadable, match=says):
        read_all(tmp_path / "clip.mp4")


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:{port}/a.mp4", "file:{secret}", "concat:{secret}|{secret}", "subfile,,start,0,end,0,,:{secret}",
    "data:video/mp4;base64,AAAA", "pipe:0", "crypto:{secret}", "{secret}\0.mp4", "lavfi:testsrc",
])  # fmt: skip
def test_addresses_are_not_followed(secret: Path, visits: tuple[int, list[str]], address: str) -> None:
    port, knocks = visits

    with pytest.raises(MediaNotFound):
        read_all(address.format(secret=secret, port=port))

    assert knocks == []


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")

    for name in ("pipe.mp4", "folder.mp4", "device.mp4", "loop.mp4", "absent.mp4", "x" * 300):
        with pytest.raises(MediaNotFound, match=name):
            probe(tmp_path / name)


def test_a_link_to_a_file_is_that_file_under_its_own_name(tmp_path: Path, secret: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(secret)

    assert read_all(link)[1] == 10
    assert probe(link).path == link


@pytest.mark.parametrize("name", [
    "--help.mp4", "-y.mp4", "a\nb.mp4", "😀.mp4", "é" * 120 + ".mp4", "%05d.mp4", "file:colon.mp4", "http:a.mp4",
    "<img src=x onerror=alert(1)>.mp4", "=HYPERLINK(1).mp4", "a'b\"c.mp4", "two  spaces .mp4", "concat:x.mp4", "*.mp4", "a|b.mp4",
])  # fmt: skip
def test_names_are_only_names(tmp_path: Path, secret: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(secret.read_bytes())

    assert read_all(name) == (44_100, 10)
    assert read_all(tmp_path / name) == (44_100, 10)
    assert write_media(name, sound=tone(0.5)) == Path(name)


def test_a_name_that_is_no_text_is_read_and_shown_on_one_line(tmp_path: Path, secret: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\xfe\n.mp4"
    Path(os.fsdecode(odd)).write_bytes(secret.read_bytes())
    assert read_all(os.fsdecode(odd)) == (44_100, 10)

    Path(os.fsdecode(odd)).write_bytes(b"nothing")
    with pytest.raises(MediaUnreadable) as caught:
        read_all(os.fsdecode(odd))
    message = str(caught.value)
    assert "\n" not in message
    message.encode("utf-8")


def test_size_and_emptiness_are_looked_at_first(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", sound=tone(1.0))
    (tmp_path / "empty.mp4").write_bytes(b"")

    with pytest.raises(MediaLimit, match=r"a\.wav: .*FFDV_MAX_GB"):
        probe(path, limits=Limits(max_bytes=1000))
    with pytest.raises(MediaUnreadable, match=r"empty\.mp4: .*empty"):
        probe(tmp_path / "empty.mp4")


@pytest.mark.parametrize("scheme", ["cenc-aes-ctr"])
def test_encrypted_tracks_are_recognised(tmp_path: Path, scheme: str) -> None:
    key = {"encryption_scheme": scheme, "encryption_key": "0" * 31 + "1", "encryption_kid": "0" * 32}
    path = write_media(tmp_path / "a.mp4", sound=noise(1.0), frames=numbered(25), container_options=key)

    assert probe(path).encrypted
    with pytest.raises(MediaEncrypted, match=r"a\.mp4: .*encrypted"):
        open_media(path)


@pytest.mark.parametrize(("old", "new"), [(b"avc1", b"encv"), (b"mp4a", b"enca")])
def test_one_protected_track_is_enough(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write_media(tmp_path / "a.mp4", sound=noise(1.0), frames=numbered(25))
    content = path.read_bytes()
    at = content.index(old, content.index(b"stsd"))
    path.write_bytes(content[:at] + new + content[at + 4 :])

    with pytest.raises(MediaEncrypted):
        open_media(path)


def test_a_licence_box_alone_is_enough(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=noise(0.5))
    box = b"pssh" + bytes(24)
    path.write_bytes(path.read_bytes() + (len(box) + 4).to_bytes(4, "big") + box)

    assert probe(path).encrypted


def test_an_unprotected_file_is_not_called_encrypted_for_its_content(tmp_path: Path) -> None:
    words = np.frombuffer(b"enca encv sinf pssh frma " * 2000, np.uint8)
    sound = noise(0.0)
    sound = type(sound)(((words.astype(np.float32) - 128) / 128)[np.newaxis], 16_000)
    path = write_media(tmp_path / "a.mov", sound=sound, audio_codec="pcm_u8", tags={"comment": "sinf frma encv pssh"})

    assert b"pssh" in path.read_bytes()
    assert not probe(path).encrypted


def test_a_track_without_a_decoder_is_said(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=noise(1.0), frames=numbered(25))
    content = bytearray(path.read_bytes().replace(b"avc1", b"yyyy"))
    at = content.index(b"\x04\x80\x80\x80", content.index(b"esds"))  # the decoder's description; its kind follows
    content[at + 5] = 0x01
    path.write_bytes(content)

    with open_media(path) as media:
        with pytest.raises(MediaUnreadable, match=r"a\.mp4: there is no decoder for its sound"):
            read_samples(media)
        with pytest.raises(MediaUnreadable, match=r"a\.mp4: there is no decoder for its picture"):
            list(read_frames(media))


def test_tags_of_any_bytes_do_not_stop_the_reading(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", sound=tone(0.5), tags={"title": "QQQQQQQQ"})
    path.write_bytes(path.read_bytes().replace(b"QQQQQQQQ", b"\xff\xfe\x80ab\n\xc3("))

    assert "ab" in probe(path).tags["title"]


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", frames=[np.zeros((64, 8192, 3), np.uint8)] * 2, video_codec="ffv1")

    with open_media(path) as media, pytest.raises(MediaLimit, match=r"a\.mkv: .*8192x64"):
        list(read_frames(media))


def test_a_header_that_hides_the_size_does_not_help(tmp_path: Path) -> None:
    """The stream's own size counts: the decoder itself is bounded in pixels."""
    frame = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), dtype=np.uint8)
    path = write_media(tmp_path / "a.mp4", frames=[frame] * 2, video_options={"preset": "ultrafast"})
    content = bytearray(path.read_bytes())
    at = content.index(b"avc1") + 4 + 24
    content[at : at + 4] = (64).to_bytes(2, "big") * 2
    path.write_bytes(content)

    with open_media(path, limits=Limits(max_side=512)) as media, pytest.raises((MediaLimit, MediaDamaged)):
        list(read_frames(media))


def wave(path: Path, rate: int, channels: int) -> Path:
    """A short WAV of 8 bits that claims this much."""
    size = channels * 4000
    numbers = struct.pack("<HHIIHH", 1, channels, rate, rate * channels % 2**32, channels, 8)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16)
    path.write_bytes(head + numbers + b"data" + struct.pack("<I", size) + bytes(range(256)) * (size // 256 + 1))
    return path


@pytest.mark.parametrize(("rate", "channels"), [(2_000_000_000, 1), (4_000_000, 2), (48_000, 129), (768_000, 512)])
def test_sound_that_no_recorder_makes_is_refused_with_the_cure(tmp_path: Path, rate: int, channels: int) -> None:
    path = wave(tmp_path / "a.wav", rate, channels)

    with open_media(path) as media, pytest.raises(MediaLimit, match=r"a\.wav: its sound claims .*; convert it"):
        next(iter_samples(media))
    with pytest.raises(MediaLimit, match="convert it"):
        extract(path)


@pytest.mark.parametrize(("rate", "channels"), [(2_822_400, 2), (48_000, 100)])
def test_fast_dsd_and_ambisonics_are_read(tmp_path: Path, rate: int, channels: int) -> None:
    with open_media(wave(tmp_path / "a.wav", rate, channels)) as media:
        assert read_samples(media, mono=False).values.shape == (channels, 4000)


def test_very_many_channels_make_blocks_shorter_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wave(tmp_path / "a.wav", 1000, 64)
    with open_media(path) as media:
        whole = read_samples(media, mono=False).values
        monkeypatch.setattr("ffdv.media.read.MOST_VALUES_AT_ONCE", 64 * 300)
        blocks = [block.values for block in iter_samples(media, mono=False)]

    assert {block.shape[1] for block in blocks[:-1]} == {300}
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


class Contents(dict[str, bytes]):
    """Whole files by suffix; shown short when a test fails."""

    def __repr__(self) -> str:
        return f"Contents({', '.join(self)})"


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    folder = tmp_path_factory.mktemp("fuzz")
    kinds = {suffix: {"sound": noise(0.6, 16_000)} for suffix in (".wav", ".flac", ".mp3", ".opus", ".m4a")}
    for suffix in (".mp4", ".mkv", ".webm", ".avi", ".ts"):
        kinds[suffix] = {"sound": noise(0.6, 16_000), "frames": numbered(15)}  # type: ignore[dict-item]
    return Contents({suffix: write_media(folder / f"a{suffix}", **kind).read_bytes() for suffix, kind in kinds.items()})  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_a_result_or_one_sentence(tmp_path: Path, whole_files: Contents, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(sorted(whole_files)))
    content = bytearray(whole_files[suffix])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content))) :]
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)

    told = outcome(path)

    assert "\n" not in told
    assert told == "read" or "damaged" in told


def outcome(path: Path) -> str:
    """ "read", or the sentence that says why not; anything but a MediaError is a failure of the test."""
    try:
        with open_media(path) as media:
            if media.facts.has_sound:
                assert np.isfinite(read_samples(media, rate=16_000).values).all()
            if media.facts.has_picture:
                assert all(frame.pixels.dtype == np.uint8 for frame in read_frames(media, fps=10))
    except MediaError as error:
        return str(error)
    return "read"
