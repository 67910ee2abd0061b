"""An encoder that raises its caller to real-time priority (as root) is kept from doing so."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ffdv.augment.codec import picture_codec_exists, transcode_frames
from ffdv.media.write import write_media
from ffdv.svt import kept_priority

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no scheduling policies")
FRAMES = np.zeros((3, 64, 64, 3), np.uint8)


def priority() -> tuple[int, int]:
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


@pytest.mark.skipif(not picture_codec_exists("av1"), reason="this FFmpeg has no AV1 encoder")
def test_av1_leaves_the_priority_of_the_thread_alone(tmp_path: Path) -> None:
    before = priority()

    transcode_frames(FRAMES, name="av1", constant_quality=40)
    assert priority() == before

    write_media(tmp_path / "clip.mp4", frames=iter(FRAMES), fps=25.0, video_codec="libsvtav1")
    assert priority() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may raise a priority")
def test_a_raised_priority_is_taken_back_and_other_encoders_are_left_alone() -> None:
    before = priority()
    try:
        with kept_priority("libsvtav1"):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        assert priority() == before

        with kept_priority("libx264"):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        assert priority() != before
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
