"""Lips against sound: an offset that was put there is found, a stranger's sound is told, what is missing is said."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.data.sources.synthetic import Speaker, speak
from ffdv.detect.agreement import SEVERAL, AgreementSense, chance, seen_together, shipped_model, spans_of
from ffdv.detect.senses import Looked, SenseAbsent, SenseOpinion
from ffdv.detect.sync import sync
from ffdv.errors import CheckpointError, StreamMissing
from ffdv.features.agreement import WEAR, WEIGHED, AgreementModel, Comparison, Weighing, best_offset, roughness
from ffdv.features.faces import FaceSpec
from ffdv.features.landmarks import MOUTH_POINTS
from ffdv.features.recipe import ExtractSpec, extract
from ffdv.features.sync import STANDARD_MOUTH
from ffdv.media.write import write_media
from ffdv.records import FacesSeen, FaceTrack, Features, MediaFacts, MouthTrack, Samples

FACTS = MediaFacts(Path("clip.mp4"), 1, "mp4", 4.0, None, (), (), encrypted=False, tags={})
RATE = 16_000


def compared(count: int, shift: int, *, seed: int = 0, noise: float = 0.5, max_offset: int = 8) -> Comparison:
    """A comparison in which the sound's numbers at offset `shift` are the mouth's, and noise."""
    rng = np.random.default_rng(seed)
    mouth = rng.normal(size=(count, 3))
    lags = np.arange(-max_offset, max_offset + 1)
    sound = rng.normal(size=(count + 4 * max_offset, 3))
    sound[2 * max_offset + shift : 2 * max_offset + shift + count] = mouth
    heard = np.stack([sound[2 * max_offset + k : 2 * max_offset + k + count] for k in lags], axis=1)
    heard += noise * rng.normal(size=heard.shape)
    known = np.ones((count, len(lags)), bool)
    pairs = ((heard, mouth, np.array([0.5, 0.4, 0.3])),)
    return Comparison(np.arange(count) / 25, known, pairs, np.ones(count), max_offset, rough=-0.2, clarity=0.4)


def talking(seconds: float = 4.0, *, seed: int = 0) -> tuple[MouthTrack, Samples]:
    """A mouth that trembles and a voice that speaks; they have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 25)
    face = rng.normal(0, 0.3, (len(MOUTH_POINTS), 3))
    points = face + rng.normal(0, 0.01, (count, len(MOUTH_POINTS), 3))
    crops = rng.integers(0, 255, (count, 96, 96), np.uint8)
    mouth = MouthTrack(np.arange(count) / 25, crops, np.full(count, 0.1, np.float32), points.astype(np.float32))
    voice = np.tile(speak(Speaker.drawn(rng), rng)[0], 3)[: round(seconds * RATE)]
    return mouth, Samples(voice[None], RATE)


def played(seconds: float = 4.0) -> npt.NDArray[np.float32]:
    """Two struck chords a second, in one channel."""
    time = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * 220 * 2 ** (step / 12) * k * time) / k for step in (0, 4, 7) for k in range(1, 6))
    return (0.1 * chord * np.exp(-(time % 0.5) / 0.2))[None].astype(np.float32)


def looked(mouth: MouthTrack | None, sound: Samples | None, *, faces: bool = True) -> Looked:
    none = np.zeros((1, 8, 8, 3), np.uint8)
    track = FaceTrack(
        3, np.zeros(1), np.ones((1, 4), np.float32), np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32), none
    )
    return Looked(Features(FACTS, sound, FacesSeen((track,) if faces else (), 10, 10, (256, 256))), mouth)


@given(st.integers(-7, 7), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_an_offset_that_was_put_there_is_found(shift: int, seed: int) -> None:
    curve = compared(80, shift, seed=seed).curve()

    assert best_offset(curve) == pytest.approx(shift, abs=0.6)


def test_the_curve_is_the_weighted_mean_of_plain_correlations() -> None:
    comparison = compared(60, 2)
    known = comparison.known.copy()
    known[:7, 3] = False
    comparison = replace(comparison, known=known)
    ((sound, mouth, weights),) = comparison.pairs
    rows = known[:, 3]
    slow = [np.corrcoef(sound[rows, 3, i], mouth[rows, i])[0, 1] for i in range(3)]

    assert comparison.curve()[3] == pytest.approx(np.average(slow, weights=weights))


def test_too_few_common_frames_are_no_correlation() -> None:
    comparison = compared(60, 0)
    known = comparison.known.copy()
    known[15:, 0] = False

    assert replace(comparison, known=known).curve()[0] == 0


def test_a_peak_lies_between_frames_and_an_edge_stays_an_edge() -> None:
    offsets = np.arange(-5, 6)

    assert best_offset(-((offsets - 1.3) ** 2).astype(float)) == pytest.approx(1.3)
    assert best_offset(offsets.astype(float)) == 5


def test_spans_cover_what_is_in_sight_and_skip_a_gap() -> None:
    whole = compared(130, 0)
    broken = replace(whole, seconds=np.r_[whole.seconds[:60], whole.seconds[60:] + 30])

    assert [(part.start, part.stop) for part in spans_of(whole)] == [(0, 50), (25, 75), (50, 100), (75, 125), (80, 130)]
    assert [(part.start, part.stop) for part in spans_of(compared(101, 0))] == [(0, 50), (25, 75), (50, 100)]
    inside = [broken.seconds[part] for part in spans_of(broken)]
    assert all(np.ptp(part) < 2 for part in inside)
    assert any(part[0] > 30 for part in inside)
    assert spans_of(compared(20, 0)) == []


def test_what_is_missing_is_said() -> None:
    sense = AgreementSense()
    mouth, sound = talking()
    dark = replace(mouth, opening=np.full(100, np.nan, np.float32))
    short = MouthTrack(mouth.seconds[:20], mouth.crops[:20], mouth.opening[:20], mouth.points[:20])  # type: ignore[index]
    silent = Samples(np.zeros_like(sound.values), RATE)
    chords = Samples(played(), RATE)
    later = Samples(np.concatenate([silent.values, sound.values], axis=1), RATE)
    given = {
        "no_sound": looked(mouth, None),
        "no_face": looked(None, sound, faces=False),
        "mouth_not_visible": looked(dark, sound),
        "too_short": looked(short, sound),
        "silent_sound": looked(mouth, silent),
        "no_speech": looked(mouth, chords),
        "no_speech_in_sight": looked(mouth, later),
    }

    for code, piece in given.items():
        answer = sense.judge(piece)
        assert isinstance(answer, SenseAbsent), code
        assert answer.code == code
    assert isinstance(sense.judge(looked(replace(mouth, points=None), sound)), SenseAbsent)
    assert isinstance(sense.judge(looked(mouth, Samples(np.zeros((1, 0), np.float32), RATE))), SenseAbsent)


def test_a_sound_that_never_meets_the_picture_is_too_short() -> None:
    mouth, sound = talking()
    answer = AgreementSense().judge(looked(mouth, replace(sound, start_seconds=100.0)))

    assert isinstance(answer, SenseAbsent)
    assert answer.code == "too_short"


def test_an_opinion_does_not_depend_on_clock_or_level() -> None:
    mouth, sound = talking()
    later = replace(mouth, seconds=mouth.seconds + 7)
    louder = Samples(0.5 * sound.values, RATE, start_seconds=7.0)
    one, other = (AgreementSense().judge(looked(m, s)) for m, s in ((mouth, sound), (later, louder)))

    assert isinstance(one, SenseOpinion)
    assert isinstance(other, SenseOpinion)
    assert other.logit == pytest.approx(one.logit, abs=0.1)
    assert other.spans == pytest.approx(one.spans + 7)
    assert one.track_id == 3
    assert one.probability == pytest.approx(chance(one.logit))


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    model = shipped_model()
    model.save(tmp_path / "again.npz")
    again = AgreementModel.load(tmp_path / "again.npz")
    mouth, sound = talking(seed=1)

    assert again.weighing == model.weighing
    assert again.compare(mouth, sound).curve() == pytest.approx(model.compare(mouth, sound).curve(), abs=1e-6)
    assert model.provenance["rows"] == "open = 1 of audio/train (English) and video/train"


@pytest.mark.parametrize("damage", [b"", b"PK nothing", None])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "agreement.npz"
    if damage is None:
        np.savez(path, header=np.frombuffer(b'{"format": "ffdv agreement", "version": 99}', np.uint8))
    else:
        path.write_bytes(damage)

    with pytest.raises(CheckpointError, match=r"agreement\.npz"):
        AgreementModel.load(path)


def test_odds_are_linear_in_the_measures() -> None:
    weighing = Weighing({"near": -2.0, "far": 1.0}, 0.5)

    assert weighing.logit({"near": 1.0, "far": 3.0, "seconds": 9.0}) == pytest.approx(1.5)


def test_wear_weighs_in_by_itself_and_with_the_correlations_and_no_further_than_it_was_met() -> None:
    measures = replace(compared(80, 0), rough=-0.1, clarity=0.4).measures()

    assert tuple(measures) == WEIGHED
    assert (measures["rough"], measures["clarity"]) == (-0.1, 0.4)
    assert measures["near_rough"] == pytest.approx(-0.1 * measures["near"])
    assert measures["far_clarity"] == pytest.approx(0.4 * measures["far"])
    coarse, muffled, both = (
        replace(compared(80, 0), rough=rough, clarity=clarity).measures()
        for rough, clarity in ((9.0, 0.42), (-0.2, 0.0), (9.0, 0.0))
    )
    assert coarse["rough"] == WEAR["rough"][1]
    assert muffled["clarity"] == WEAR["clarity"][0]
    assert both["rough"] == pytest.approx(-0.025)  # half of the way: both in full were hardly met
    assert both["clarity"] == pytest.approx(0.375)


def test_points_that_tremble_are_rough_and_a_smooth_move_is_not() -> None:
    mouth, _ = talking()
    assert mouth.points is not None
    steady = np.broadcast_to(mouth.points[0], mouth.points.shape).astype(np.float64)
    moving = steady + np.sin(np.arange(100) / 5)[:, None, None]
    noise = np.random.default_rng(0).normal(0, 1, mouth.points.shape)

    def of(points: npt.NDArray[np.float64]) -> float:
        return roughness(replace(mouth, points=points.astype(np.float32)), [slice(0, 100)])

    assert of(moving) < -1
    assert of(noise) == pytest.approx(0.5 * np.log(3), abs=0.05)  # deviations of the root of 6 against the root of 2
    assert of(moving) < of(moving + 0.1 * noise) < of(moving + noise) < of(noise)
    assert of(steady) == of(steady + 0.0005 * noise) == -0.2  # a photograph: nothing to tell


def test_lips_that_follow_no_sound_weigh_less_where_the_points_tremble_or_the_phones_are_unclear() -> None:
    stranger, odds = replace(compared(100, 0, noise=8.0), rough=-0.25, clarity=0.43), shipped_model().weighing
    assert stranger.measures()["near"] < 0.25

    clear, coarse, muffled = (
        odds.logit(one.measures()) for one in (stranger, replace(stranger, rough=0.05), replace(stranger, clarity=0.33))
    )

    assert clear > max(coarse, muffled)
    assert (
        min(coarse, muffled) > -0.5
    )  # about undecided: low correlations are no sign that lips and sound belong together


def test_a_clip_whose_points_tremble_or_whose_phones_are_unclear_is_unlike_its_teachers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mouth, sound = talking()  # points that are noise
    opinion = AgreementSense().judge(looked(mouth, sound))
    assert isinstance(opinion, SenseOpinion)
    assert any("moves unevenly" in reason for reason in opinion.outside)
    assert mouth.points is not None
    slow = mouth.points[:1] + 0.3 * np.sin(np.arange(100) / 5)[:, None, None].astype(np.float32)
    steady = AgreementSense().judge(looked(replace(mouth, points=slow), sound))
    assert isinstance(steady, SenseOpinion)
    assert not any("moves unevenly" in reason for reason in steady.outside)

    compare = AgreementModel.compare
    monkeypatch.setattr(AgreementModel, "compare", lambda *given: replace(compare(*given), clarity=0.3))
    unclear = AgreementSense().judge(looked(replace(mouth, points=slow), sound))
    assert isinstance(unclear, SenseOpinion)
    assert any("hard to make out" in reason for reason in unclear.outside)


def test_where_several_people_are_in_sight_nobody_knows_whose_lips_were_heard() -> None:
    mouth, sound = talking()
    one, other = (
        FaceTrack(number, times, np.ones((len(times), 4), np.float32), np.zeros((len(times), 5, 2), np.float32),
                  np.ones(len(times), np.float32), np.zeros((len(times), 8, 8, 3), np.uint8))
        for number, times in ((3, np.arange(0, 4, 0.125)), (4, np.arange(2, 4, 0.125)))
    )  # fmt: skip
    later = replace(other, seconds=other.seconds + 10)

    assert (seen_together((one, other)), seen_together((one, later)), seen_together(())) == (0.5, 0.0, 0.0)
    alone = replace(looked(mouth, sound), features=Features(FACTS, sound, FacesSeen((one,), 10, 10, (256, 256))))
    both = replace(alone, features=replace(alone.features, faces=FacesSeen((one, other), 10, 10, (256, 256))))
    first, second = (AgreementSense().judge(each) for each in (alone, both))
    assert isinstance(first, SenseOpinion)
    assert isinstance(second, SenseOpinion)
    assert (first.track_id, second.track_id) == (3, None)
    assert first.probability > 0.5 >= second.probability
    assert second.span_probabilities.max() <= 0.5
    assert SEVERAL in second.outside
    assert SEVERAL not in first.outside


def test_a_file_without_face_or_sound_is_refused_with_the_reason(tmp_path: Path) -> None:
    grey = (np.full((64, 64, 3), 90, np.uint8) for _ in range(30))
    silent = write_media(tmp_path / "silent.mp4", frames=grey, fps=25)
    with pytest.raises(StreamMissing, match="no sound"):
        sync(silent)
    grey = (np.full((64, 64, 3), 90, np.uint8) for _ in range(30))
    faceless = write_media(tmp_path / "faceless.mp4", frames=grey, fps=25, sound=talking(1.2)[1])
    with pytest.raises(StreamMissing, match="no face"):
        sync(faceless)


@pytest.mark.data
@pytest.mark.slow
def test_real_clips_belong_to_their_own_sound_and_a_shift_is_found(shared_data: Path) -> None:
    folder = shared_data / "video" / "train"
    with (folder / "manifest.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["source_repo"].startswith("voicecraft") and r["target"] == "0"]
    spec = ExtractSpec(probes=False, faces=FaceSpec(), mouth=STANDARD_MOUTH)
    clips = [extract(folder / row["file"], spec) for row in rows[:3]]
    mouths = [clip.mouth for clip in clips]
    sounds = [clip.sound for clip in clips]
    model = shipped_model()
    near, found = [], []
    for mouth, own, other in zip(mouths, sounds, [*sounds[1:], sounds[0]], strict=True):
        assert mouth is not None
        assert own is not None
        assert other is not None
        here = model.compare(mouth, own)
        late = model.compare(mouth, replace(own, start_seconds=own.start_seconds + 0.2))
        near.append((here.measures()["near"], model.compare(mouth, other).measures()["near"]))
        found.append(best_offset(late.curve()) - best_offset(here.curve()))

    assert np.mean([one for one, _ in near]) > np.mean([two for _, two in near]) + 0.1
    assert float(np.median(found)) == pytest.approx(5, abs=0.5)


def test_what_is_less_than_a_second_is_never_called_one() -> None:
    """24 of 25 frames were "1.0 s only; a second is the least"."""
    mouth, sound = talking()
    short = MouthTrack(mouth.seconds[:24], mouth.crops[:24], mouth.opening[:24], mouth.points[:24])  # type: ignore[index]

    answer = AgreementSense().judge(looked(short, sound))

    assert isinstance(answer, SenseAbsent)
    assert "for 0.9 s only" in answer.text
