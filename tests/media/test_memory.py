"""Length costs time, not memory. Each reading runs in a process of its own, whose peak is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import tone

from ffdv.media.write import write_media
from ffdv.records import Samples

READ_SOUND = "for _ in iter_samples(media, rate=16_000): pass"
READ_FRAMES = "for _ in read_frames(media): pass"
# The kernel's own high-water mark begins anew in each program; what getrusage tells is inherited from the parent.
CODE = """
import sys
from ffdv.media.read import Limits, iter_samples, open_media, read_frames
with open_media(sys.argv[1], limits=Limits(max_seconds=1e5)) as media:
    {reading}
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def peak_megabytes(path: Path, reading: str) -> int:
    shown = subprocess.run(
        [sys.executable, "-c", CODE.format(reading=reading), str(path)], capture_output=True, text=True, check=True
    )
    return int(shown.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read where Linux shows it")
def test_an_hour_of_sound_costs_what_a_minute_costs(tmp_path: Path) -> None:
    minute = tone(60.0, 8_000).values
    short = write_media(tmp_path / "a.flac", sound=Samples(minute, 8_000))
    long = write_media(tmp_path / "b.flac", sound=Samples(np.tile(minute, 60), 8_000))

    assert peak_megabytes(long, READ_SOUND) <= 1.2 * peak_megabytes(short, READ_SOUND)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read where Linux shows it")
def test_half_a_million_packets_of_an_mp4_cost_what_a_thousand_cost(tmp_path: Path) -> None:
    """FFmpeg's index of them would take 18 MB, and 36 on opening."""
    short = write_media(tmp_path / "a.mp4", sound=tone(65.0, 16_000), audio_bit_rate=8_000)
    long = repeated(short, tmp_path / "b.mp4", times=500)

    assert peak_megabytes(long, READ_SOUND) <= 1.1 * peak_megabytes(short, READ_SOUND)


def repeated(short: Path, long: Path, *, times: int) -> Path:
    """The packets of a file so many times over."""
    with av.open(str(short)) as source:
        packets = [(bytes(packet), packet.pts, packet.duration) for packet in source.demux() if packet.size]
        with av.open(str(long), "w") as output:
            stream = output.add_stream_from_template(source.streams[0])
            length = 1024 * len(packets)
            for turn in range(times):
                for content, pts, duration in packets:
                    packet = av.Packet(content)
                    packet.stream, packet.duration = stream, duration
                    packet.pts = packet.dts = pts + turn * length
                    output.mux(packet)
    return long


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read where Linux shows it")
def test_pictures_do_not_pile_up(tmp_path: Path) -> None:
    """100 pictures of 6 MB; asking each frame for its side data would keep them until the next garbage collection."""
    picture = np.zeros((1080, 1920, 3), np.uint8)
    path = write_media(tmp_path / "a.mp4", frames=(picture for _ in range(100)), video_options={"preset": "ultrafast"})

    assert peak_megabytes(path, READ_FRAMES) < 300
