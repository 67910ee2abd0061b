"""Senses without weights, for the tests of what goes on around senses: their opinions follow from the file alone."""

from __future__ import annotations

import numpy as np

from ffdv.detect.judging import Detector
from ffdv.detect.senses import Looked, SenseAbsent, SenseName, SenseOpinion


class LoudVoice:
    """Suspects loud seconds."""

    name: SenseName = "voice"

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent:
        sound = looked.features.sound
        if sound is None:
            return SenseAbsent("voice", "no_sound", "the file has no sound that can be judged")
        mono, rate = sound.mono(), sound.rate
        starts = np.arange(0, max(1, len(mono) - rate // 2), rate)
        levels = np.array([float(np.sqrt(np.mean(mono[start : start + rate] ** 2))) for start in starts])
        spans = np.stack([starts, np.minimum(starts + rate, len(mono))], axis=1) / rate + sound.start_seconds
        probabilities = np.clip(levels * 3, 0.01, 0.99)
        mean = float(probabilities.mean())
        activation = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (32, 1))
        return SenseOpinion("voice", float(np.log(mean / (1 - mean))), mean, spans, probabilities, activation)


class BrightPicture:
    """Suspects bright faces; without a face it has no opinion."""

    name: SenseName = "picture"

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent:
        tracks = looked.features.faces.tracks if looked.features.faces else ()
        if not tracks:
            return SenseAbsent("picture", "no_face", "no face was found")
        track = tracks[0]
        bright = np.clip(track.crops.mean(axis=(1, 2, 3)) / 255, 0.01, 0.99).astype(np.float64)
        spans = np.stack([track.seconds, track.seconds + 0.12], axis=1)
        mean = float(bright.mean())
        activation = np.zeros((7, 7), np.float32)
        activation[4:6, 2:5] = 1
        return SenseOpinion(
            "picture", float(np.log(mean / (1 - mean))), mean, spans, bright, activation, track.track_id,
            activation_seconds=float(track.seconds[bright.argmax()]),
            track_probabilities={one.track_id: mean for one in tracks},
        )  # fmt: skip


class ShyAgreement:
    """Never has an opinion."""

    name: SenseName = "agreement"

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent:  # noqa: ARG002
        return SenseAbsent("agreement", "no_mouth", "no mouth was in sight long enough")


def stand_in_detector() -> Detector:
    return Detector((LoudVoice(), BrightPicture(), ShyAgreement()))
