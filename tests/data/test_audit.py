from __future__ import annotations

import doctest
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffdv.app.console import show_audit
from ffdv.data import audit_words
from ffdv.data.audit import audit, audit_table, compare_tables, fact_columns
from ffdv.data.audit_page import as_html
from ffdv.data.audit_words import REMEDIES, shortcut_of, with_unit
from ffdv.data.near_copies import SOUND_BITS, near_copies
from ffdv.data.probe_models import joint_results
from ffdv.data.probe_table import Fingerprints, ProbeTable, table_from_shards
from ffdv.data.probe_tests import separation_test, shuffled_labels
from ffdv.errors import ManifestError, RecipeError
from ffdv.metrics.ranking import roc_auc
from ffdv.records import Clip, Samples
from ffdv.sentences import worded

Columns = dict[str, np.ndarray]

PEOPLE = 60


def clean_table(seed: int = 0, *, num_clips: int = 240, own: float = 0.5) -> ProbeTable:
    """A folder without shortcuts: facts hang together, depend on the person (`own`), and know nothing of the label.

    Two thirds of the people have real and fake clips, the others one kind only.
    """
    rng = np.random.default_rng(seed)
    person = rng.integers(0, PEOPLE, num_clips)
    lone = person < PEOPLE // 3
    labels = np.where(lone, person % 2, rng.integers(0, 2, num_clips))

    def fact(middle: float, spread: float) -> np.ndarray:
        return middle + spread * (
            np.sqrt(own) * rng.normal(size=PEOPLE)[person] + np.sqrt(1 - own) * rng.normal(size=num_clips)
        )

    seconds = np.abs(fact(7.0, 1.5)) + 1.0
    numbers: Columns = {
        "sound_duration_seconds": seconds,
        "picture_duration_seconds": seconds + rng.normal(0, 0.004, num_clips),
        "sound_trailing_silence_seconds": np.abs(rng.normal(0.004, 0.002, num_clips)),
        "sound_leading_silence_seconds": np.abs(rng.normal(0.05, 0.03, num_clips)),
        "sound_level_db": fact(-23, 3),
        "sound_peak_db": fact(-4, 2),
        "sound_bit_rate": np.round(rng.normal(128_000, 150, num_clips)),
        "picture_bit_rate": fact(400_000, 60_000),
        "picture_brightness": fact(110, 20),
        "picture_sharpness_db": fact(-26, 4),
        "picture_noise_levels": np.abs(fact(1, 0.3)),
        "sound_band_limit_hz": np.full(num_clips, 22_050.0),
        "container_num_tags": np.full(num_clips, 4.0),
    }
    for low, high in [
        (0, 300),
        (300, 1000),
        (1000, 4000),
        (4000, 7000),
        (7000, 8000),
        (8000, 11000),
        (11000, 16000),
        (16000, 22050),
    ]:
        numbers[f"sound_band_{low}_{high}_hz_db"] = fact(-10 - low / 400, 4)
    numbers["sound_minus_picture_seconds"] = numbers["sound_duration_seconds"] - numbers["picture_duration_seconds"]
    silent = rng.random(num_clips) < 0.1
    for name in [name for name in numbers if name.startswith("sound_")]:
        numbers[name] = np.where(silent, np.nan, numbers[name])
    words = {
        "sound_codec": tuple(None if quiet else "aac" for quiet in silent),
        "picture_profile": tuple(rng.choice(["High", "Main"], num_clips, p=[0.8, 0.2])),
        "tag_encoder": tuple(rng.choice(["Lavf58.29.100", "Lavf60.3.100", "HandBrake"], num_clips)),
        "tag_major_brand": ("isom",) * num_clips,
    }
    clips = tuple(
        Clip(f"{at:04d}.mp4", Path(f"/data/{at:04d}.mp4"), int(label), None, {"identity": f"person {who}"})
        for at, (label, who) in enumerate(zip(labels, person, strict=True))
    )
    nothing = Fingerprints(np.zeros((num_clips, 240), bool), np.zeros(num_clips, bool))
    return ProbeTable(clips, numbers, words, nothing, nothing)


def fakes(table: ProbeTable) -> np.ndarray:
    return np.array([clip.label == 1 for clip in table.clips])


def shift(table: ProbeTable, name: str, by: float) -> ProbeTable:
    return replace(table, numbers={**table.numbers, name: table.numbers[name] + by * fakes(table)})


def trailing_silence(table: ProbeTable) -> ProbeTable:
    """20 ms after every fake: the sound is longer by as much."""
    longer = shift(shift(table, "sound_trailing_silence_seconds", 0.020), "sound_duration_seconds", 0.020)
    return shift(longer, "picture_duration_seconds", 0.020)


def bit_rate(table: ProbeTable) -> ProbeTable:
    """1 % more bits a second."""
    return shift(table, "sound_bit_rate", 1280.0)


def longer_sound(table: ProbeTable) -> ProbeTable:
    """The sound ends 17 ms after the picture."""
    return shift(shift(table, "sound_duration_seconds", 0.017), "sound_minus_picture_seconds", 0.017)


def band_limit(table: ProbeTable) -> ProbeTable:
    """Nothing above 16 kHz."""
    return shift(shift(table, "sound_band_limit_hz", -6050.0), "sound_band_16000_22050_hz_db", -10.0)


def encoder_tag(table: ProbeTable) -> ProbeTable:
    """Fakes were written by one program, reals by many."""
    said = [
        ("Lavf61.7.100" if fake else text) for fake, text in zip(fakes(table), table.words["tag_encoder"], strict=True)
    ]
    return replace(table, words={**table.words, "tag_encoder": tuple(said)})


def brightness(table: ProbeTable) -> ProbeTable:
    """Half a deviation brighter."""
    return shift(table, "picture_brightness", 12.0)


LEAKS: dict[str, tuple[Callable[[ProbeTable], ProbeTable], str, str]] = {
    "trailing silence": (trailing_silence, "sound_trailing_silence_seconds", "trim"),
    "bit rate": (bit_rate, "sound_bit_rate", "re-encode"),
    "longer sound": (longer_sound, "sound_minus_picture_seconds", "length"),
    "band limit": (band_limit, "sound_band_limit_hz", "band"),
    "encoder tag": (encoder_tag, "tag_encoder = Lavf61.7.100", "re-encode"),
    "brightness": (brightness, "picture_brightness", "brightness"),
}


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(audit_words).failed == 0


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_planted_leak_is_named_as_the_culprit(leak: str, seed: int) -> None:
    plant, culprit, remedy = LEAKS[leak]

    report = audit_table(plant(clean_table(seed)), together=False)

    assert not report.clean
    assert report.facts[0].name == culprit
    assert report.remedies[0] == remedy
    assert culprit in report.sentences[0]
    assert f"Remedy: {remedy} ({REMEDIES[remedy]})" in report.sentences[0]
    assert {fact.meaning for fact in report.found} <= {
        report.facts[0].meaning,
        shortcut_of("sound_duration_seconds").meaning,
    }


@pytest.mark.slow
@pytest.mark.parametrize("own", [0.0, 0.8])
def test_a_clean_folder_says_nothing_found(own: float) -> None:
    """In at least 95 % of folders, give or take what 150 folders can show; facts that cling to people do not change it."""
    accused = sum(not audit_table(clean_table(seed, own=own), seed=seed, together=False).clean for seed in range(150))

    assert accused <= 150 * (0.05 + 2 * np.sqrt(0.05 * 0.95 / 150))


@pytest.mark.slow
def test_all_together_are_not_accused_either() -> None:
    accused = 0
    for seed in range(12):
        table = clean_table(seed, num_clips=160)
        _, columns = fact_columns(table)
        groups = np.array([int(clip.groups["identity"].split()[1]) for clip in table.clips])
        accused += any(result.found for result in joint_results(columns, fakes(table), groups, seed=seed))

    assert accused <= 1


def test_what_only_shows_together_is_found_together() -> None:
    """Fakes are loud and bright, or quiet and dark; level and brightness each say nothing alone."""
    table = clean_table(4, num_clips=400, own=0.0)
    loud = np.nan_to_num(table.numbers["sound_level_db"], nan=-23.0) > -23
    glow = np.abs(table.numbers["picture_brightness"] - 110) * np.where(loud == fakes(table), 1.0, -1.0)
    table = replace(table, numbers={**table.numbers, "picture_brightness": 110 + glow})

    report = audit_table(table)

    assert not report.found
    assert not report.clean
    best = max(report.joint, key=lambda result: result.auc.value)
    assert best.found
    assert best.auc.low > 0.6
    assert "facts together reach AUC" in " ".join(report.sentences)


def test_the_clean_verdict_says_what_would_have_shown() -> None:
    report = audit_table(clean_table(0), together=False)

    assert report.clean
    assert report.sentences[0].startswith(f"Nothing found: none of {len(report.facts)} facts gives the label away")
    assert f"AUC of {report.detectable_auc:.2f}" in report.sentences[0]
    assert 0.55 < report.detectable_auc < 0.7
    assert report.groups_by == "identity"
    assert (
        repr(report)
        == f"AuditReport({report.data!r}, {sum(report.counts)} clips, 0 of {len(report.facts)} facts found)"
    )


def test_a_leak_as_large_as_the_detectable_auc_is_found_half_the_time() -> None:
    from scipy.special import ndtri

    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        columns, fake = rng.normal(size=(300, 30)), np.arange(300) % 2 == 0
        clean = separation_test(columns, fake, np.arange(300), seed=seed)
        columns[:, 7] += fake * np.sqrt(2) * ndtri(clean.detectable_auc)
        found += separation_test(columns, fake, np.arange(300), seed=seed).found[7]

    assert 8 <= found <= 22


def test_intervals_and_directions_of_facts_are_honest() -> None:
    table = shift(clean_table(0), "picture_brightness", -15.0)
    report = audit_table(table, together=False)
    dark = next(fact for fact in report.facts if fact.name == "picture_brightness")

    assert dark.higher == "real"
    assert dark.auc.value == pytest.approx(1 - roc_auc(fakes(table), table.numbers["picture_brightness"]))
    assert all(0.5 <= fact.auc.low <= fact.auc.value <= fact.auc.high <= 1.0 for fact in report.facts)
    assert dark.spreads[0].median > dark.spreads[1].median
    quiet = next(fact for fact in report.facts if fact.name == "sound_level_db")
    assert quiet.spreads[0].num_known < report.counts[0]


def test_being_without_sound_is_a_fact() -> None:
    table = clean_table(0)
    numbers = {
        name: np.where(fakes(table) & (np.arange(len(table)) % 2 == 0), np.nan, values)
        if name.startswith("sound_")
        else values
        for name, values in table.numbers.items()
    }

    report = audit_table(replace(table, numbers=numbers), together=False)

    assert "no sound" in {fact.name for fact in report.found}
    assert "both senses" in report.remedies


def test_people_who_are_only_real_or_fake_are_no_proof() -> None:
    """Twelve real and twelve fake people, each with a brightness of their own: twenty clips of each are not 480 proofs."""
    accused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(24), 20)
        columns = rng.normal(size=(24, 5))[person] + 0.1 * rng.normal(size=(480, 5))
        accused += separation_test(columns, person >= 12, person, seed=seed).found.any()

    assert accused <= 6


def test_shuffling_keeps_people_whole_and_counts_within_mixed_ones() -> None:
    group = np.repeat(np.arange(30), 4)
    fake = np.where(group < 10, True, np.where(group < 20, False, np.arange(120) % 2 == 0))
    seen = set()
    for labels in shuffled_labels(fake, group, 50, seed=3):
        for shuffled in labels:
            for number in range(30):
                mine = shuffled[group == number]
                assert number >= 20 or mine.all() or not mine.any()
                assert number < 20 or mine.sum() == fake[group == number].sum()
            assert sum(shuffled[group == number].all() for number in range(20)) == 10
            seen.add(shuffled.tobytes())

    assert len(seen) == 50


def test_many_pictures_of_the_same_test_agree() -> None:
    """p of a lone column is the permutation p of its AUC, by an independent slow count."""
    rng = np.random.default_rng(0)
    column, fake = rng.normal(size=60), np.arange(60) % 3 == 0
    column += 0.5 * fake
    away = abs(roc_auc(fake.astype(int), column) - 0.5)
    slow = np.mean([abs(roc_auc(rng.permutation(fake).astype(int), column) - 0.5) >= away for _ in range(1500)])

    fast = separation_test(column[:, None], fake, np.arange(60))

    assert fast.p_value[0] == pytest.approx(slow, abs=0.02)
    assert abs(fast.auc[0] - 0.5) == pytest.approx(away)


def test_sources_of_one_class_and_people_in_two_splits_are_told() -> None:
    table = clean_table(0)
    clips = tuple(
        replace(clip, split="train" if at % 3 else "dev", groups={**clip.groups, "source_repo": f"repo{clip.label}"})
        for at, clip in enumerate(table.clips)
    )

    report = audit_table(replace(table, clips=clips), together=False)

    text = " ".join(report.sentences)
    assert "2 of 2 values of source hold one class only (100 % of the clips)" in text
    assert re.search(r"\d\d values of identity stand in several splits", text)
    assert next(balance for balance in report.balances if balance.by == "identity").num_one_class >= PEOPLE // 3


def test_near_copies_across_splits_are_told() -> None:
    table = clean_table(0)
    rng = np.random.default_rng(0)
    bits = rng.random((len(table), 240)) < 0.5
    bits[5] = bits[3]
    bits[5, :20] ^= True
    clips = tuple(replace(clip, split="train" if at < 5 else "dev") for at, clip in enumerate(table.clips))
    prints = Fingerprints(bits, np.ones(len(table), bool))

    report = audit_table(replace(table, clips=clips, sounds=prints), together=False)

    assert [(copies.sense, copies.num_pairs, copies.across_splits) for copies in report.copies] == [("sound", 1, 1)]
    assert "0003.mp4 and 0005.mp4" in " ".join(report.sentences)
    assert "One pair of clips is a near-copy in sound" in " ".join(report.sentences)
    assert "1 pairs" not in as_html(report)
    assert not re.search(r"\d%", re.sub(r"<style>.*?</style>", "", as_html(report, lang="zh"), flags=re.DOTALL))


def test_near_copies_are_found_among_many_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of clips only those that share 16 bits in a row are compared; what differs by 20 bits is found."""
    rng = np.random.default_rng(0)
    bits = rng.random((3000, 240)) < 0.5
    known = np.ones(3000, bool)
    for at in range(0, 100, 2):
        bits[at + 1] = bits[at]
        bits[at + 1, rng.permutation(240)[:20]] ^= True
    planted = {(at, at + 1) for at in range(0, 100, 2)}
    every = {tuple(pair) for pair in near_copies(bits, known, most_bits=SOUND_BITS).tolist()}
    monkeypatch.setattr("ffdv.data.near_copies.COMPARE_ALL", 10)

    quick = {tuple(pair) for pair in near_copies(bits, known, most_bits=SOUND_BITS).tolist()}

    assert every == planted
    assert quick <= planted
    assert len(quick) >= 47
    known[0] = False
    assert (0, 1) not in {tuple(pair) for pair in near_copies(bits, known, most_bits=SOUND_BITS).tolist()}


def test_two_folders_are_compared_without_labels() -> None:
    train, test = clean_table(0), clean_table(1)
    test = replace(
        test,
        clips=tuple(replace(clip, label=None, name=f"t{clip.name}") for clip in test.clips),
        numbers={**test.numbers, "sound_level_db": test.numbers["sound_level_db"] - 6},
    )

    report = compare_tables(train, test, names=("data/train", "data/test"))

    assert report.facts[0].name == "sound_level_db"
    assert report.facts[0].higher == "train"
    assert report.classes == ("train", "test")
    assert report.sentences[0].startswith("sound_level_db differs")
    assert "label" not in " ".join(report.sentences)


def test_without_labels_there_is_nothing_to_leak() -> None:
    table = clean_table(0)
    with pytest.raises(ManifestError, match="against"):
        audit_table(replace(table, clips=tuple(replace(clip, label=None) for clip in table.clips)))


def test_too_few_clips_are_told() -> None:
    report = audit_table(clean_table(0).take(range(12)))

    assert not report.facts
    assert not report.clean
    assert "Too few clips" in report.sentences[0]


def test_the_same_seed_gives_the_same_report() -> None:
    assert audit_table(clean_table(3), seed=5, together=False) == audit_table(clean_table(3), seed=5, together=False)


def test_a_page_is_safe_and_stands_alone() -> None:
    table = encoder_tag(clean_table(0))
    evil = "<img src=x onerror=alert(1)>"
    words = {
        **table.words,
        "tag_encoder": tuple(evil if text == "Lavf61.7.100" else text for text in table.words["tag_encoder"]),
    }
    report = audit_table(replace(table, words=words, failures=((evil, evil),)), data=evil, together=False)

    page = as_html(report)

    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert "<script" not in page
    assert "http:" not in page
    assert "https:" not in page
    assert page.count("<svg") > len(report.facts)
    assert "prefers-color-scheme" in page


def test_the_page_is_chinese_when_asked_for() -> None:
    report = audit_table(encoder_tag(clean_table(0)), data="语料", together=False)

    page = as_html(report, lang="zh")

    assert "语料 中有什么泄露了标签" in page
    assert "文件的标签" in page
    assert "几乎完全泄露标签" in page
    assert "技术信息" not in page
    assert not re.search(r"\b(the|clips|label|away)\b", re.sub(r"<style.*?</style>|<[^>]*>", "", page, flags=re.DOTALL))
    with pytest.raises(RecipeError, match="en, zh"):
        as_html(report, lang="xx")


def test_no_model_unit_or_heading_is_english_for_a_chinese_reader(capsys: pytest.CaptureFixture[str]) -> None:
    report = audit_table(encoder_tag(clean_table(0)), data="语料")

    show_audit(report, lang="zh")
    shown = capsys.readouterr().out
    page = as_html(report, lang="zh")

    assert {result.model for result in report.joint} == {"logistic regression", "gradient boosting"}
    for text in (shown, page):
        assert not re.search(r"logistic|boosting|grey|bytes|better|found\b(?!\")|\bfact\b", visible_text(text))
    assert "AUC，取较好的方向" in shown
    assert "好于随机" in shown
    assert "<td>逻辑回归</td>" in page
    assert "<td>梯度提升</td>" in page
    for name, said in (
        ("picture_change_levels", "12.5 个灰度级"),
        ("container_size_bytes", "12.5 字节"),
        ("sound_duration_seconds", "12.5 秒"),
        ("sound_rate", "12.5 赫兹"),
        ("sound_loudness_db", "12.5 分贝"),
        ("container_num_tags", "12.5"),
    ):
        assert worded(with_unit(name, 12.5), "zh") == said
    assert worded(with_unit("sound_duration_seconds", 0.5), "zh") == "500 毫秒"


def visible_text(text: str) -> str:
    return re.sub(r"<style.*?</style>|<[^>]*>", "", text, flags=re.DOTALL)


# ---- on files


def voice(rng: np.random.Generator, seconds: float, rate: int) -> np.ndarray:
    """A buzz with a formant and some hiss, of its own pitch and level."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = rng.uniform(90, 220)
    buzz = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    wave = rng.uniform(0.1, 0.3) * buzz / 3 * (0.7 + 0.3 * np.sin(2 * np.pi * rng.uniform(2, 5) * time))
    return (wave + 0.02 * rng.normal(size=len(time))).astype(np.float32)


def scene(rng: np.random.Generator, brighter: float) -> np.ndarray:
    level = rng.uniform(80, 120) + brighter
    picture = level + 30 * np.kron(rng.normal(size=(8, 8)), np.ones((8, 8)))
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def write_corpus(root: Path, leak: str, *, num_clips: int = 24) -> Path:
    """Clips of half a second with one leak, or none, as sound files or videos."""
    import scipy.signal

    from ffdv.media.write import write_media

    root.mkdir()
    rng = np.random.default_rng(11)
    rows = ["file,label"]
    with_picture = leak in ("longer sound", "brightness", "encoder tag")
    rate = 44_100 if leak == "band limit" else 16_000
    for at in range(num_clips):
        fake = at % 2 == 1
        seconds = 0.4 + 0.04 * int(rng.integers(0, 6))
        wave = voice(rng, seconds, rate)
        if fake and leak == "trailing silence":
            wave = np.append(wave, np.zeros(round(0.02 * rate), np.float32))
        if fake and leak == "longer sound":
            wave = voice(rng, seconds + 0.017, rate)
        if fake and leak == "band limit":
            wave = scipy.signal.sosfilt(scipy.signal.ellip(8, 0.1, 80, 15_800, fs=rate, output="sos"), wave).astype(
                np.float32
            )
        name = f"{at:03d}.{'mov' if with_picture else 'wav'}"
        picture = scene(rng, 60.0 if fake and leak == "brightness" else 0.0)
        write_media(
            root / name,
            sound=Samples(wave[None], rate),
            frames=[picture] * round(seconds * 25) if with_picture else None,
            audio_codec="pcm_s16le" if with_picture else None,
            tags={"title": "made by forge 2" if fake and leak == "encoder tag" else f"clip {at % 3}"},
        )
        rows.append(f"{name},{int(fake)}")
    (root / "label.csv").write_text("\n".join(rows))
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("leak", "remedy", "culprits"),
    [
        ("trailing silence", "trim", ("sound_trailing",)),
        ("longer sound", "length", ("sound_minus_picture_seconds",)),
        ("band limit", "band", ("sound_band", "sound_rolloff")),
        ("encoder tag", "re-encode", ("tag_title = made by forge 2",)),
        ("brightness", "brightness", ("picture_brightness",)),
    ],
)
def test_a_leak_planted_in_files_is_named(tmp_path: Path, leak: str, remedy: str, culprits: tuple[str, ...]) -> None:
    report = audit(write_corpus(tmp_path / "corpus", leak), out=tmp_path / "audit", workers=1)

    assert report.facts[0].found
    assert report.facts[0].auc.value > 0.95
    assert report.facts[0].name.startswith(culprits)
    assert report.remedies[0] == remedy
    said = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert said["facts"][0]["name"] == report.facts[0].name
    assert (tmp_path / "audit" / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert report.facts[0].name in (tmp_path / "audit" / "audit.html").read_text()


@pytest.mark.slow
def test_clean_files_say_nothing_found_and_broken_ones_are_listed(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "corpus", "none")
    (root / "000.wav").write_bytes(b"no sound at all")

    report = audit(root, workers=1)

    assert report.clean
    assert [name for name, _ in report.failures] == ["000.wav"]


@pytest.mark.parametrize(
    ("leak", "probe"), [("trailing silence", "sound_trailing_silence_seconds"), ("band limit", "sound_band_limit_hz")]
)
def test_the_advised_remedy_brings_the_fact_back_to_chance(leak: str, probe: str) -> None:
    """What the report advises works: after the neutraliser the fact's interval holds 0.5."""
    import scipy.signal

    from ffdv.augment.neutralise import band_pass, trim_silence
    from ffdv.features.probes import SoundProbes
    from ffdv.metrics.uncertainty import delong

    rng = np.random.default_rng(2)
    rate = 44_100
    labels, before, after = np.arange(40) % 2, [], []
    for label in labels:
        wave = voice(rng, 0.5, rate)
        if label and leak == "trailing silence":
            wave = np.append(wave, np.zeros(round(0.02 * rate), np.float32))
        if label and leak == "band limit":
            wave = scipy.signal.sosfilt(scipy.signal.ellip(8, 0.1, 80, 15_800, fs=rate, output="sos"), wave).astype(
                np.float32
            )
        mended = trim_silence(wave, rate) if leak == "trailing silence" else band_pass(wave, rate, high_hz=7000.0)
        for sound, values in ((wave, before), (mended, after)):
            probes = SoundProbes(rate)
            probes.add(sound[None], sound)
            values.append(probes.finish()[probe])

    assert abs(delong(labels, before).value - 0.5) > 0.45
    neutral = delong(labels, after)
    assert neutral.low <= 0.5 <= neutral.high


def test_shards_and_files_tell_the_same(tmp_path: Path, tone_corpus: Callable[..., Path]) -> None:
    """Prepared clips carry the facts: the audit of shards decodes nothing and agrees with that of the files."""
    from ffdv.data.manifest import load_corpus
    from ffdv.data.prepare import prepare
    from ffdv.data.probe_table import table_from_files
    from ffdv.data.shards import open_shards

    root = tone_corpus(12, seconds=0.8)
    prepare(root, out=tmp_path / "shards", workers=1)

    kept, read = table_from_shards(open_shards(tmp_path / "shards")), table_from_files(load_corpus(root), workers=1)

    assert [clip.name for clip in kept.clips] == [clip.name for clip in read.clips]
    assert kept.words == read.words
    assert kept.numbers.keys() == read.numbers.keys()
    for name, values in kept.numbers.items():
        np.testing.assert_array_equal(values, read.numbers[name])
    np.testing.assert_array_equal(kept.sounds.known, read.sounds.known)
    differing = (kept.sounds.bits != read.sounds.bits).sum(axis=1)
    assert differing.max() <= SOUND_BITS
    assert [clip.groups for clip in kept.clips] == [clip.groups for clip in read.clips]


def test_an_audit_of_shards_leaves_failures_out(tmp_path: Path, tone_corpus: Callable[..., Path]) -> None:
    from ffdv.data.prepare import prepare

    root = tone_corpus(30)
    (root / "007.wav").write_bytes(b"broken")
    prepare(root, out=tmp_path / "shards", workers=1)

    report = audit(tmp_path / "shards")

    assert [name for name, _ in report.failures] == ["007.wav"]
    assert sum(report.counts) == 29
    few = audit(tmp_path / "shards", limit=24)
    assert sum(few.counts) == 24
    assert min(few.counts) >= 11


@pytest.mark.data
@pytest.mark.slow
def test_real_clips_agree_with_what_is_known_of_them(shared_data: Path) -> None:
    """The data's own page: container 0.56, sharpness and brightness 0.53; one pipeline made both classes."""
    report = audit(shared_data / "video" / "train", workers=1, limit=120)

    facts = {fact.name: fact for fact in report.facts}
    for name in ("container_size_bytes", "picture_bit_rate", "picture_sharpness_db", "picture_brightness"):
        assert facts[name].auc.low <= 0.56
    assert max(fact.auc.value for fact in report.facts) < 0.8


def test_values_that_make_no_sense_are_refused_by_name(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"limit": 0}, {"seed": -1}, {"workers": -1}]

    for keywords in wrong:
        with pytest.raises(RecipeError, match=next(iter(keywords))):
            audit(tmp_path, **keywords)
