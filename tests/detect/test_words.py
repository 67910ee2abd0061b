"""Sentences in two languages say the same things and fill every gap."""

from __future__ import annotations

import re
import string
from dataclasses import replace

import pytest
from face_clips import write_clip
from stand_ins import stand_in_detector

from ffdv.detect.fusion import Fused
from ffdv.detect.judging import CAUTION, asked_band
from ffdv.detect.senses import SenseAbsent, SenseOpinion, nobody_speaks
from ffdv.detect.verdict import Reason, Verdict
from ffdv.detect.words import (
    CUE_WORDS,
    LANGUAGES,
    UNITS_ZH,
    WORDS,
    how_sure,
    missing,
    note_text,
    reasons,
    say,
    unit_word,
)
from ffdv.features.cues import CUE_KINDS
from ffdv.features.voice_activity import SpeechHeard
from ffdv.metrics.abstention import AbstentionBand
from ffdv.records import Note
from ffdv.sentences import Sentence


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", WORDS)
def test_both_languages_have_the_same_gaps_and_chinese_is_chinese(code: str) -> None:
    english, chinese = WORDS[code]

    assert gaps(english) == gaps(chinese)
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert not re.search(r"[\u4e00-\u9fff][,;:?!()]", chinese), "Chinese text has Chinese punctuation"


def test_every_cue_is_explained_and_every_unit_known() -> None:
    assert set(CUE_WORDS) == set(CUE_KINDS)
    assert {kind.unit for kind in CUE_KINDS.values()} <= set(UNITS_ZH)
    for kind in CUE_KINDS.values():
        assert all(unit_word(kind.unit, lang) for lang in LANGUAGES)


def test_no_sentence_claims_certainty() -> None:
    for english, _ in WORDS.values():
        assert not re.search(r"\b(certainly|definitely|proves that|is genuine|is fake)\b", english)
    assert "prove nothing" in say("limits")


def test_a_note_that_is_no_sentence_of_ours_is_marked_as_english() -> None:
    assert note_text(Note("unheard_of", "something odd"), "zh") == "技术信息（英文）：something odd。"
    assert note_text(Note("no_sound", Sentence("the file has no sound track")), "zh") == "文件没有声音。"
    assert note_text(Note("no_sound", Sentence("the file has no sound track"))) == "the file has no sound track."


def test_music_without_speech_is_told_from_silence_in_both_languages() -> None:
    silent, played = SpeechHeard(0.0, silent=True), SpeechHeard(0.1)
    said = {lang: [note_text(nobody_speaks("voice", heard), lang) for heard in (silent, played)] for lang in LANGUAGES}

    assert said["en"] == ["the sound is silent.", "no speech is heard, only music or noise."]
    assert said["zh"] == ["声音完全无声。", "没有听到语音，只有音乐或噪声。"]
    assert nobody_speaks("voice", SpeechHeard(1.0)) is None


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return stand_in_detector().judge(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=1.0))


def test_a_clip_unlike_training_is_told_what_is_asked_of_it(verdict: Verdict) -> None:
    """Without it 73 % beside "fake above 70 %" and "cannot tell" is a riddle."""
    fused = Fused(0.73, AbstentionBand(0.3, 0.7, 0.05, 0.05, 99, 99), "voice")
    voice = replace(verdict.opinions["voice"], outside=(Sentence("the sound is silent"),))
    told = {}
    for name, opinion in (("usual", replace(voice, outside=())), ("strange", voice)):
        asked = asked_band(fused, {"voice": opinion})
        told[name] = how_sure(replace(verdict, fused=fused, asked=asked))

    assert told["usual"] == (
        "The detector gives 73 % that the clip is forged in any way, among clips half of which are; where forgeries are rarer, it is less likely. It says fake above 70 %, and that it found no sign below 30 %.",
    )
    assert told["strange"] == (
        "The detector gives 73 % that the clip is forged in any way, among clips half of which are; where forgeries are rarer, it is less likely. It says fake above 85 %, and that it found no sign below 15 %.",
        "These limits are stricter than usual (70 % and 30 %): the clip is unlike the clips that the detector was trained on, or not every sense could judge it.",
    )
    assert fused.band.widened(CAUTION).high == pytest.approx(0.85)


def test_no_answer_is_told_to_be_nothing_rare(verdict: Verdict) -> None:
    fused = Fused(0.5, AbstentionBand(0.3, 0.7, 0.05, 0.05, 99, 99), "voice", undecided=0.46)

    open_clip = replace(verdict, word="cannot tell", fused=fused, asked=fused.band, reasons=(Reason("undecided"),))

    assert (
        how_sure(open_clip)[-1]
        == "This is not rare: of development clips with these senses, 46 % ended without an answer."
    )
    assert "有 46 % 没有" in how_sure(open_clip, "zh")[-1]
    for other in (
        replace(open_clip, asked=fused.band.widened(CAUTION)),
        replace(open_clip, reasons=(Reason("too_short", {"seconds": 0.5, "needed": 1.0}),)),
        replace(open_clip, opinions={"voice": verdict.opinions["voice"]}),  # a video of which the voice alone judged
    ):
        assert not any("not rare" in text for text in how_sure(other))
    assert not any("not rare" in text for text in how_sure(replace(verdict, word="fake", fused=fused)))


def test_each_strange_sense_that_counts_asks_for_more_and_one_that_says_real_does_not(verdict: Verdict) -> None:
    fused = Fused(0.73, AbstentionBand(0.3, 0.7, 0.05, 0.05, 99, 99), "agreement")
    strange = replace(verdict.opinions["voice"], outside=(Sentence("the sound is silent"),))
    usual = replace(strange, outside=(), probability=0.8)

    def high(voice: float, *, leader: SenseOpinion = usual) -> float:
        return asked_band(fused, {"agreement": leader, "voice": replace(strange, probability=voice)}).high

    assert high(0.2) == pytest.approx(0.7)
    assert high(0.6) == pytest.approx(0.85)
    assert high(0.6, leader=replace(usual, outside=strange.outside)) == pytest.approx(0.85)  # one reason
    assert high(0.6, leader=replace(usual, outside=(Sentence("the sound is loud"),))) == pytest.approx(0.925)


def test_lips_and_speech_are_spoken_of_as_a_pair(verdict: Verdict) -> None:
    told = (
        Reason("sense_clear", {"sense": "agreement", "p": 0.2}),
        Reason("sense_suspects", {"sense": "voice", "p": 0.9}),
    )

    assert reasons(replace(verdict, reasons=told)) == (
        "Lips and speech show no clear mismatch (20 %).", "The voice seems forged rather than not (90 %).",
    )  # fmt: skip
    assert reasons(replace(verdict, reasons=told), "zh")[0] == "口型与语音没有明显的不相配（20 %）。"


def test_a_sentence_names_what_is_looked_at_and_not_what_would_be_found(verdict: Verdict) -> None:
    """ "Lip mismatch was not judged" is true; "unlike what taught (lip mismatch)" reads as if it had been found."""
    absent = SenseAbsent("agreement", "no_sound", Sentence("there is no sound to compare the lips with"))
    strange = {"sense": "agreement", "text": Sentence("several people are in sight, so that lips which do not fit may be those of a listener")}  # fmt: skip
    told = replace(
        verdict,
        opinions={"agreement": absent},
        notes=(),
        reasons=(Reason("absent", {"sense": "agreement"}), Reason("outside", strange), Reason("sign", strange)),
    )

    for lang, name in (("en", "match of lips and sound"), ("zh", "声画一致性")):
        said = [*reasons(told, lang), *missing(told, lang)]
        assert len(said) == 4
        assert all(name in text and say("agreement", lang) not in text for text in said)


def test_what_is_outside_is_worded_within_its_reason(verdict: Verdict) -> None:
    strange = (
        Reason("outside", {"sense": "voice", "text": Sentence("the face is darker than the faces in training")}),
    )

    assert reasons(replace(verdict, reasons=strange), "zh") == (
        "该片段与检测器的训练材料不同（声音）：人脸比训练所用的更暗。",
    )
