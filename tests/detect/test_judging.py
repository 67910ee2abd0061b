"""From opinions to a word: nothing is invented, every "cannot tell" has its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_clips import voice, write_clip
from stand_ins import BrightPicture, LoudVoice, ShyAgreement, stand_in_detector

from ffdv.detect import looking
from ffdv.detect.fusion import Fused, fuse, shipped_fusion
from ffdv.detect.judging import Detector, UnloadedSense, asked_band, decide, merge
from ffdv.detect.looking import LookedAt
from ffdv.detect.report import range_text
from ffdv.detect.senses import SenseAbsent, SenseName, SenseOpinion
from ffdv.detect.verdict import TimeRange, Verdict
from ffdv.media.write import write_media
from ffdv.metrics.abstention import AbstentionBand
from ffdv.sentences import Sentence

BAND = AbstentionBand(0.3, 0.7, 0.05, 0.05, 99, 99)
PLENTY = LookedAt(5.0, sound_seconds=5.0, picture_seconds=5.0, frames=40, frames_with_face=40, faces=1)


def opinion(sense: SenseName, probability: float, start: float = 0.0, outside: tuple[str, ...] = ()) -> SenseOpinion:
    logit = float(np.log(probability / (1 - probability)))
    spans = np.array([[start, start + 1.0]])
    return SenseOpinion(sense, logit, probability, spans, np.array([probability]), outside=outside)


def decided(opinions: list[SenseOpinion], looked_at: LookedAt = PLENTY) -> tuple[str, list[str]]:
    judged = {one.sense: one for one in opinions}
    absent = {"agreement": SenseAbsent("agreement", "no_mouth", "no mouth")} if "agreement" not in judged else {}
    leading = max(judged, key=lambda name: judged[name].probability, default="voice")
    fused = Fused(judged[leading].probability, BAND, leading) if judged else None
    asked = asked_band(fused, judged) if fused else None
    word, reasons = decide(fused, asked, {**judged, **absent}, looked_at)
    return word, [reason.code for reason in reasons]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return stand_in_detector().judge(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4"))


@pytest.mark.parametrize(
    ("probability", "word"), [(0.95, "fake"), (0.7001, "fake"), (0.5, "cannot tell"), (0.29, "real"), (0.01, "real")]
)
def test_the_word_follows_from_the_band(probability: float, word: str) -> None:
    assert decided([opinion("voice", probability)])[0] == word


def test_one_reason_of_two_senses_widens_the_band_once() -> None:
    damaged, other = ("the sound is damaged",), ("it is sung",)

    assert decided([opinion("voice", 0.86, outside=damaged), opinion("agreement", 0.6, outside=damaged)])[0] == "fake"
    assert (
        decided([opinion("voice", 0.86, outside=damaged), opinion("agreement", 0.6, outside=other)])[0] == "cannot tell"
    )


def test_only_what_the_verdict_stands_on_is_said_to_be_unlike_training() -> None:
    judged = {one.sense: one for one in (opinion("picture", 0.1, outside=("it is dark",)), opinion("voice", 0.9))}

    fused = Fused(0.9, BAND, "voice")
    _, reasons = decide(fused, asked_band(fused, judged), judged, PLENTY)

    assert [reason.code for reason in reasons] == ["sense_suspects", "sense_clear"]


def test_a_trace_of_forging_is_told_beside_its_sense() -> None:
    trace = replace(opinion("voice", 0.9), signs=(Sentence("it beats"),))
    judged = {one.sense: one for one in (opinion("picture", 0.95), trace)}

    fused = Fused(0.97, BAND, "picture")
    _, reasons = decide(fused, asked_band(fused, judged), judged, PLENTY)

    assert [(one.code, one.values["sense"]) for one in reasons] == [
        ("sense_suspects", "picture"),
        ("sense_suspects", "voice"),
        ("sign", "voice"),
    ]


def test_what_speaks_for_a_suspicion_follows_it_and_decides_nothing() -> None:
    judged = {"picture": replace(opinion("picture", 0.1), grounds=(Sentence("it wavers"),))}

    word, reasons = decide(Fused(0.1, BAND, "picture"), BAND, judged, PLENTY)

    assert word == "real"
    assert [one.code for one in reasons] == ["sense_clear", "ground"]


def test_a_clip_with_a_rare_trait_is_not_passed() -> None:
    judged = {"voice": replace(opinion("voice", 0.1), signs=(Sentence("it beats"),))}
    fused = Fused(0.1, BAND, "voice")

    word, reasons = decide(fused, asked_band(fused, judged), judged, PLENTY)

    assert word == "cannot tell"
    assert [one.code for one in reasons] == ["sign", "sense_clear"]


def test_traits_of_the_pieces_that_count_are_those_of_the_clip() -> None:
    calm = [opinion("voice", 0.2, start=float(k)) for k in range(7)]
    with_trait = replace(opinion("voice", 0.8), signs=(Sentence("it beats"),))

    merged = merge([opinion("voice", 0.9), with_trait, *calm[:6]])

    assert isinstance(merged, SenseOpinion)
    assert merged.signs == with_trait.signs


def test_a_band_of_other_senses_asks_for_more() -> None:
    silent = {"picture": opinion("picture", 0.75)}

    def word(fused: Fused) -> str:
        return decide(fused, asked_band(fused, silent), silent, PLENTY)[0]

    assert word(Fused(0.75, BAND, "picture")) == "fake"
    assert word(Fused(0.75, BAND, "picture", of_all=True)) == "cannot tell"
    assert word(Fused(0.2, BAND, "picture", of_all=True)) == "cannot tell"


def test_every_cannot_tell_says_why_first() -> None:
    assert decided([])[1][0] == "nothing_judged"
    assert decided([opinion("voice", 0.5)])[1][0] == "undecided"
    assert decided([opinion("voice", 0.7), opinion("picture", 0.1)])[1][0] == "senses_disagree"
    assert decided([opinion("voice", 0.55), opinion("picture", 0.1)])[1][0] == "undecided"
    assert decided([opinion("voice", 0.9)], LookedAt(0.4, sound_seconds=0.4))[1][0] == "too_short"
    assert decided([opinion("voice", 0.75, outside=("it is sung",))]) == (
        "cannot tell", ["outside", "absent", "sense_suspects"],
    )  # fmt: skip


def test_a_clip_unlike_the_training_is_called_only_when_it_is_clear() -> None:
    assert decided([opinion("voice", 0.75)])[0] == "fake"
    assert decided([opinion("voice", 0.75, outside=("it is sung",))])[0] == "cannot tell"
    assert decided([opinion("voice", 0.99, outside=("it is sung",))])[0] == "fake"


def test_an_absent_sense_is_named_in_any_verdict() -> None:
    assert "absent" in decided([opinion("voice", 0.99)])[1]


def test_the_most_suspicious_quarter_of_the_pieces_counts() -> None:
    pieces = [opinion("voice", p, start) for start, p in enumerate([0.1, 0.9, 0.2, 0.7, 0.1, 0.1, 0.1, 0.1])]

    merged = merge(pieces)

    assert isinstance(merged, SenseOpinion)
    assert merged.probability == pytest.approx((0.9 + 0.7) / 2)
    assert merged.spans[:, 0].tolist() == list(range(8))


def test_one_piece_is_itself_and_none_is_the_first_reason() -> None:
    one, absent = opinion("voice", 0.4), SenseAbsent("voice", "no_sound", "no sound")

    assert merge([one]) is one
    assert merge([absent, one]) is one
    assert merge([absent, SenseAbsent("voice", "too_short", "short")]) is absent


def test_fusion_follows_the_sense_that_suspects_most() -> None:
    fused = fuse({"voice": opinion("voice", 0.8), "picture": opinion("picture", 0.3)})

    assert fused.leading == "voice"
    assert fused.probability > fuse({"voice": opinion("voice", 0.5), "picture": opinion("picture", 0.3)}).probability


def test_a_verdict_holds_what_the_senses_said(verdict: Verdict) -> None:
    assert set(verdict.senses) == {"voice", "picture"}
    assert [one.sense for one in verdict.absent] == ["agreement"]
    shipped = shipped_fusion()
    assert shipped is not None
    assert verdict.fake_probability == pytest.approx(shipped.probability(verdict.senses))
    assert verdict.path.name == "clip.mp4"


def test_faces_that_are_shown_do_not_keep_the_others_in_memory(verdict: Verdict) -> None:
    shots = (*verdict.evidence.strip, *verdict.evidence.suspects)

    assert shots
    assert all(shot.pixels.base is None for shot in shots)


def test_the_timeline_has_a_number_for_each_second_that_was_judged(verdict: Verdict) -> None:
    assert len(verdict.timeline) == 2
    assert set(verdict.timeline.probabilities) == {"voice", "picture"}
    for lane in verdict.timeline.probabilities.values():
        assert np.isfinite(lane).all()


def test_evidence_shows_sound_faces_and_cues_on_one_clock(verdict: Verdict) -> None:
    evidence = verdict.evidence

    assert evidence.spectrogram is not None
    assert evidence.spectrogram.stop_seconds == pytest.approx(2.0, abs=0.1)
    assert evidence.spectrogram.activation is not None
    assert evidence.spectrogram.activation.shape == evidence.spectrogram.levels.shape
    assert all(0 <= shot.seconds <= 2.0 for shot in (*evidence.strip, *evidence.suspects))
    assert any(shot.activation is not None for shot in evidence.suspects)
    (face,) = evidence.faces
    assert face.probability == pytest.approx(verdict.senses["picture"])
    assert {cue.sense for cue in evidence.cues} == {"picture", "voice", "agreement"}


def test_loud_seconds_stand_out_where_they_are(tmp_path: Path) -> None:
    sound = voice(6.0)
    sound.values[:, 3 * 16_000 : 4 * 16_000] *= 4
    path = write_media(tmp_path / "voice.wav", sound=sound)

    verdict = Detector((LoudVoice(),), threads=1).judge(path)

    assert [(one.start_seconds, one.stop_seconds) for one in verdict.top_ranges] == [(3.0, 4.0)]


def test_seconds_worth_a_look_end_with_the_clip(tmp_path: Path) -> None:
    """A timeline's last step reaches beyond a clip of 1.76 s; what is told does not."""
    sound = voice(1.76)
    sound.values[:, 16_000:] *= 4

    (last,) = Detector((LoudVoice(),), threads=1).judge(write_media(tmp_path / "voice.wav", sound=sound)).top_ranges

    assert last.start_seconds == 1.0
    assert last.stop_seconds == pytest.approx(1.76, abs=0.01)
    assert range_text(last, "en") == "1–1.8 s"
    assert range_text(TimeRange("voice", 0.0, 2.0, 0.8), "zh") == "0–2 秒"


def test_a_clip_in_pieces_tells_the_same_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_media(tmp_path / "voice.wav", sound=voice(12.0))
    whole = Detector((LoudVoice(),), threads=1).judge(path)
    monkeypatch.setattr(looking, "PIECE_SECONDS", 4.0)

    parts = Detector((LoudVoice(),), threads=1).judge(path)

    assert parts.looked_at.pieces == 3
    assert parts.timeline.probabilities["voice"] == pytest.approx(whole.timeline.probabilities["voice"], abs=1e-6)
    assert parts.evidence.spectrogram is not None
    assert whole.evidence.spectrogram is not None
    assert parts.evidence.spectrogram.levels.shape == whole.evidence.spectrogram.levels.shape


def test_a_sense_without_weights_is_absent_and_says_so(tmp_path: Path) -> None:
    path = write_media(tmp_path / "voice.wav", sound=voice(2.0))
    broken = UnloadedSense("picture", "its weights cannot be used (cut off); install ffdv again")

    verdict = Detector((LoudVoice(), broken), threads=1).judge(path)

    assert set(verdict.senses) == {"voice"}
    assert [(one.code, "install ffdv again" in one.text) for one in verdict.absent] == [("no_weights", True)]


def test_nothing_to_judge_has_no_probability(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wall.mp4", seconds=1.0, sound=False, face=False)

    verdict = Detector((LoudVoice(), BrightPicture(), ShyAgreement()), threads=1).judge(path)

    assert verdict.word == "cannot tell"
    assert verdict.fake_probability is None
    assert verdict.fused is None
    assert len(verdict.absent) == 3
