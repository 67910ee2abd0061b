"""Sentences in two languages say the same things and fill every gap."""

from __future__ import annotations

import re
import string

import pytest

from ffdv.detect.senses import nobody_speaks
from ffdv.detect.words import CUE_WORDS, LANGUAGES, UNITS_ZH, WORDS, note_text, say, unit_word
from ffdv.features.cues import CUE_KINDS
from ffdv.features.voice_activity import SpeechHeard
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
