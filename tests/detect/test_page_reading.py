"""What a reader takes from the pages of clips: nothing looks judged that was not, and nobody is accused by a colour or a heading."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_clips import write_clip
from stand_ins import stand_in_detector
from test_clip_report import Outline, run_browser

from browser import needs_browser
from ffdv.detect.evidence import Gathering
from ffdv.detect.index_page import IndexRow, index_page
from ffdv.detect.judging import judged_in_part
from ffdv.detect.looking import LookedAt
from ffdv.detect.report import clip_page, data_link, page_file, script_hash
from ffdv.detect.scan import ScanJob, scan_clips
from ffdv.detect.senses import Looked, SenseAbsent, SenseOpinion
from ffdv.detect.verdict import FaceRow, FaceShot, Timeline, Verdict
from ffdv.detect.words import how_sure, lacking
from ffdv.records import Clip, FacesSeen, FaceTrack, Features, MediaFacts, Note
from ffdv.sentences import Sentence

FACTS = MediaFacts(Path("clip.mp4"), 1, "mp4", 4.0, None, (), (), encrypted=False, tags={})
LIMITED = Sentence(
    "looked at the first {looked:.3g} of {length:.3g} minutes; give --max-minutes for more", looked=10, length=60
)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return stand_in_detector().judge(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4"))


def opinion_of(seconds: float, *, track: int | None = None) -> SenseOpinion:
    starts = np.arange(seconds)
    spans = np.stack([starts, starts + 1], axis=1)
    return SenseOpinion("picture", 0.0, 0.5, spans, np.full(len(starts), 0.5), track_id=track)


def a_track(number: int, start: float, grey: int) -> FaceTrack:
    seconds = start + np.arange(16) / 8
    shape = (16, 8, 8, 3)
    boxes, marks = np.zeros((16, 4), np.float32), np.zeros((16, 5, 2), np.float32)
    return FaceTrack(number, seconds, boxes, marks, np.ones(16, np.float32), np.full(shape, grey, np.uint8))


def test_seconds_that_were_not_judged_are_hatched_and_can_be_read(verdict: Verdict) -> None:
    lanes = {"voice": np.array([0.9, np.nan, np.nan, 0.5]), "picture": np.array([0.1, 0.2, np.nan, np.nan])}
    seen = replace(verdict.looked_at, sound_seconds=4.0, picture_seconds=4.0)
    page = clip_page(replace(verdict, timeline=Timeline(0.0, 1.0, lanes), looked_at=seen), "clip.mp4")

    hatched = re.findall(r'<i class="unjudged" style="left: ([\d.]+)%; width: ([\d.]+)%">', page)
    assert hatched == [("25.0", "50.0"), ("50.0", "50.0")]
    lanes_of = {one["data-name"]: one["data-numbers"] for one in Outline(page).all("div") if "data-name" in one}
    assert lanes_of == {"voice": "90 %|||50 %", "picture": "10 %|20 %||", "lip mismatch": ""}
    assert re.findall(r'<rect class="(\w+)"', page)[:4] == ["fake", "unsure", "real", "real"]


@pytest.mark.parametrize(
    ("looked_at", "faces", "codes"),
    [
        (LookedAt(9.0, picture_seconds=9.0, watched_seconds=9.0), ((0, 0.0, 2.0),), []),
        (LookedAt(9.0, picture_seconds=9.0, watched_seconds=4.0), ((0, 0.0, 2.0),), ["lips_in_part"]),
        (LookedAt(9.0, picture_seconds=9.0, watched_seconds=9.0), ((0, 0.0, 2.0), (1, 4.2, 8.6)), ["other_faces"]),
    ],
)
def test_what_an_opinion_leaves_out_is_told(
    looked_at: LookedAt, faces: tuple[tuple[int, float, float], ...], codes: list[str]
) -> None:
    judged = {"picture": opinion_of(2.0, track=0), "agreement": replace(opinion_of(2.0), sense="agreement")}
    lane = np.array([0.5, 0.5, *[np.nan] * 7])
    rows = [FaceRow(number, start, stop, 9, 0.5) for number, start, stop in faces]

    notes = judged_in_part(judged, Timeline(0.0, 1.0, {"picture": lane}), rows, looked_at)  # type: ignore[arg-type]

    assert [note.code for note in notes] == codes
    if codes == ["lips_in_part"]:
        assert notes[0].text == "lips were watched in 4 of 9 s"
    if codes == ["other_faces"]:
        assert "seen from 0 to 2 s; 5 s show other faces only" in notes[0].text


def test_the_strip_shows_the_face_that_was_judged() -> None:
    leading, decides = a_track(0, 6.0, grey=10), a_track(1, 0.0, grey=200)
    gathering = Gathering(8.0)
    looked = Looked(Features(FACTS, None, faces=FacesSeen((leading, decides), 32, 32, (64, 64))))

    gathering.take(looked, {"picture": opinion_of(2.0, track=1)})

    strip = gathering.evidence().strip
    assert {shot.track_id for shot in strip} == {1}
    assert all(shot.pixels.max() == 200 for shot in strip)


def test_faces_lie_at_their_seconds_to_the_very_end(verdict: Verdict) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    length = float(re.search(r'data-length="([\d.]+)"', clip_page(verdict, "a")).group(1))  # type: ignore[union-attr]
    moments = (0.1 * length, 0.95 * length, 0.99 * length)
    strip = tuple(FaceShot(0, moment, pixels) for moment in moments)

    page = clip_page(replace(verdict, evidence=replace(verdict.evidence, strip=strip)), "a")

    placed = re.search(r'<div class="strip">(.*?)</div>', page, re.DOTALL)
    assert placed
    assert re.findall(r"left: ([\d.]+)%", placed.group(1)) == ["10.0", "95.0"]


@pytest.mark.parametrize(
    ("probability", "heading"), [(0.06, "at its highest scores"), (0.7, "most suspicious moments")]
)
def test_a_face_that_nobody_suspects_is_not_called_suspicious(
    verdict: Verdict, probability: float, heading: str
) -> None:
    shots = (FaceShot(0, 0.5, np.zeros((8, 8, 3), np.uint8), probability),)
    text = Outline(clip_page(replace(verdict, evidence=replace(verdict.evidence, suspects=shots)), "a")).text

    assert ("most suspicious moments" in text) == ("most" in heading)
    assert heading in text


def test_where_a_model_looked_is_not_in_the_colour_of_fakes(verdict: Verdict) -> None:
    page = clip_page(verdict, "a")

    assert "yellow: where the voice model looked; it need not be where a forgery is" in page
    assert not re.search(r'class="fake">[^<]*where the voice', page)
    assert "orange: where" not in page


def test_a_verdict_on_a_part_says_so_beside_it_in_the_lists_and_the_scores(verdict: Verdict, tmp_path: Path) -> None:
    page = clip_page(replace(verdict, notes=(Note("limited", LIMITED),)), "a.mp4")
    card = re.search(r'<section class="card overall.*?</section>', page, re.DOTALL)
    assert card
    assert "Looked at the first 10 of 60 minutes" in card.group(0)

    long = write_clip(tmp_path / "long.mp4", seconds=4.0)
    job = ScanJob(tmp_path / "out", make=stand_in_detector, max_minutes=0.02)
    scan_clips([Clip("long.mp4", long)], job, workers=1)

    assert "Looked at the first 0.02 of" in (tmp_path / "out" / "index.html").read_text("utf-8")
    assert ",ok,looked at the first 0.02 of" in (tmp_path / "out" / "scores.csv").read_text("utf-8")


def test_nothing_is_not_said_to_be_all_where_something_was_left_out(verdict: Verdict) -> None:
    absent = {
        sense: SenseAbsent(sense, "no_sound", Sentence("there is no sound to judge a voice by"))  # type: ignore[arg-type]
        for sense in ("voice", "agreement")
    }
    silent = Note("no_sound", Sentence("the file has no sound track"))
    told = replace(verdict, opinions={**verdict.opinions, **absent}, notes=(silent,))
    none = replace(told, opinions=absent, top_ranges=(), timeline=Timeline(0.0, 1.0, {}), fused=None)

    assert lacking(replace(told, reasons=())) == ("The file has no sound track.",)
    text = Outline(clip_page(none, "a")).text
    assert "No second could be judged." in text
    assert "No second stands out." not in text
    assert "There is no sound to judge a voice by." in text
    why = tuple(replace(verdict.reasons[0], code="absent", values={"sense": sense}) for sense in absent)
    assert "Nothing else." in Outline(clip_page(replace(none, reasons=why), "a")).text
    assert "Nothing." in Outline(clip_page(replace(verdict, opinions={}, reasons=(), notes=()), "a")).text


def test_the_number_is_said_to_hold_where_every_second_clip_is_forged(verdict: Verdict) -> None:
    assert "half of which are; where forgeries are rarer" in how_sure(verdict)[0]
    assert "有一半是伪造的" in how_sure(verdict, "zh")[0]


def test_the_index_says_what_its_numbers_are_and_calls_nobody_a_fake() -> None:
    rows = [
        IndexRow("a.mp4", "ok", "fake", 0.9, {"voice": 0.9}, "Why.", "clips/a.html", "", limited="looked at a part"),
        IndexRow("b.mp4", "failed", "", None, {}, "not media", "", ""),
    ]
    page = index_page(rows)
    outline = Outline(page)

    assert "Percentages are probabilities of forgery" in outline.text
    assert ">probably fake</span>" in page
    assert outline.text.count("not readable") == 3  # the summary, the filter, the tag
    assert "Looked at a part. Why." in outline.text
    assert "Not media." in outline.text
    assert page.count('<p class="why needed">') == 2  # what a phone shows too
    headings = re.findall(r'data-sort="(\w+)">([^<]+)</button><span class="print-only">([^<]+)<', page)
    assert len(headings) == 6
    assert all(button == printed for _, button, printed in headings)
    assert "position: sticky" in page
    assert "1 clip: " in index_page(rows[:1])


def test_within_a_verdict_the_list_is_sorted_by_suspicion() -> None:
    assert "Number(b.p) - Number(a.p)" in page_file("index.js")


def test_what_forced_colours_would_drop_is_kept() -> None:
    style = page_file("clip.css")

    for selector in (r"\.meter > i", r"\.unjudged", r"\.lane svg"):
        assert re.search(selector + r" \{[^}]*forced-color-adjust: none", style), selector


def test_a_page_has_a_spine(verdict: Verdict) -> None:
    outline = Outline(clip_page(verdict, "a"))

    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h\d", tag)]
    assert levels[:3] == [1, 2, 3]
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert len(outline.all("main")) == 1
    assert all("scope" in heading for heading in outline.all("th"))


def test_a_file_whose_clock_begins_late_says_where(verdict: Verdict) -> None:
    pictures = tuple(replace(one, start_seconds=10.0) for one in verdict.facts.pictures)
    sounds = tuple(replace(one, start_seconds=10.0) for one in verdict.facts.sounds)
    facts = replace(verdict.facts, pictures=pictures, sounds=sounds, container="matroska,webm")
    page = clip_page(replace(verdict, facts=facts), "a")

    assert 'data-zero="10.0"' in page
    assert "of it before the clip begins" in page
    assert "of it before the clip begins" not in clip_page(verdict, "a")


PROBE = """
const said = {}, box = tracks.getBoundingClientRect(), at = () => tracks.getAttribute("aria-valuenow");
const point = (kind, share, more) => tracks.dispatchEvent(new PointerEvent(kind, {bubbles: true, isPrimary: true, pointerId: 7,
  pointerType: "touch", button: 0, clientX: box.left + share * box.width, clientY: box.top + 9, ...more}));
tracks.setPointerCapture = () => {}; // there is no such pointer
let sought = null;
Object.defineProperty(player, "currentTime", { get: () => sought ?? 0, set: (value) => { sought = value; } });
Object.defineProperty(player, "duration", { get: () => 99 });
player.dispatchEvent(new Event("durationchange"));
point("pointerdown", .5); point("pointermove", .502); point("pointercancel", .5); said.scrolled = at();
point("pointermove", .9); said.after = at();
sought = 10.5; player.dispatchEvent(new Event("timeupdate")); said.played = at();
point("pointerdown", .9, {pointerType: "mouse", button: 2}); said.right = at();
point("pointerdown", .5); point("pointerup", .5); said.tapped = at(); said.sought = sought;
said.text = tracks.getAttribute("aria-valuetext"); said.readout = document.getElementById("readout").textContent;
sought = 10 + Number(tracks.dataset.length) + 5; player.dispatchEvent(new Event("timeupdate"));
said.beyond = document.getElementById("readout").textContent;
document.title = JSON.stringify(said);
"""


@needs_browser
def test_a_finger_that_scrolls_moves_nothing_and_a_tap_does(verdict: Verdict, tmp_path: Path) -> None:
    sounds = tuple(replace(one, start_seconds=10.0) for one in verdict.facts.sounds)
    late = replace(verdict, facts=replace(verdict.facts, pictures=(), sounds=sounds))
    content = verdict.path.read_bytes()
    page = clip_page(late, "a", lang="zh", media=data_link(content, verdict.facts.container, is_video=True))
    length = float(re.search(r'data-length="([\d.]+)"', page).group(1))  # type: ignore[union-attr]
    script = page_file("clip.js") + PROBE
    page = page.replace(script_hash(page_file("clip.js")), script_hash(script)).replace(page_file("clip.js"), script)
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--enable-logging=stderr"]

    out, err = run_browser([*flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()])

    assert "CONSOLE" not in err, [line for line in err.splitlines() if "CONSOLE" in line]
    said = json.loads(re.search(r"<title>(.*?)</title>", out).group(1))  # type: ignore[union-attr]
    assert (said["scrolled"], said["after"], said["played"], said["right"]) == ("0.0", "0.0", "0.5", "0.5")
    assert float(said["tapped"]) == pytest.approx(length / 2, abs=0.06)
    assert said["sought"] == pytest.approx(10 + length / 2, abs=0.01)
    assert re.fullmatch(r"1\.0 秒，声音 \d+ %，画面 \d+ %，声画不一致 未判断", said["text"])
    assert said["readout"] == said["text"]
    assert said["beyond"].count("未判断") == 3
