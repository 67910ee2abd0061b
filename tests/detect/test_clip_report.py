"""The page of a clip: self-contained, safe whatever a name holds, aligned, readable without colour or mouse."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from face_clips import voice, write_clip
from stand_ins import LoudVoice, stand_in_detector

from browser import CHROMIUM, needs_browser
from ffdv.detect.index_page import IndexRow, index_page
from ffdv.detect.judging import Detector
from ffdv.detect.report import Linked, clip_page, data_link, page_file, script_hash, thumbnail
from ffdv.detect.senses import SenseOpinion, Trait
from ffdv.detect.verdict import CueView, Verdict
from ffdv.detect.words import say
from ffdv.media.write import write_media
from ffdv.sentences import Lang

EVIL = "<img src=x onerror=alert(1)>\n\"'&.mp4"


class Outline(HTMLParser):
    """Tags with their attributes, text, and whether every tag is closed."""

    VOID = frozenset({"meta", "img", "br", "input", "link", "line", "rect", "circle"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return stand_in_detector().judge(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_is_whole_and_fetches_nothing(verdict: Verdict, lang: str) -> None:
    page = clip_page(verdict, "clip.mp4", lang=lang, media=Linked("./clip.mp4", is_video=True), back="../index.html")  # type: ignore[arg-type]
    outline = Outline(page)

    assert outline.open == []
    assert outline.all("html")[0]["lang"] == {"en": "en", "zh": "zh-CN"}[lang]
    links = [value for _, attributes in outline.tags for key in ("src", "href") if (value := attributes.get(key))]
    assert {link for link in links if not link.startswith("data:image/")} == {"./clip.mp4", "../index.html"}
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", page)


def test_only_our_own_script_may_run(verdict: Verdict) -> None:
    page = clip_page(verdict, "clip.mp4")

    policy = next(
        one["content"]
        for one in Outline(page).all("meta")
        if "content-security-policy" in str(one.get("http-equiv", "")).lower()
    )
    assert script_hash(page_file("clip.js")) in str(policy)
    assert "default-src 'none'" in str(policy)
    assert "unsafe-inline'; script" in str(policy)  # styles only
    assert page.count("<script>") == 1


def test_a_name_is_text_whatever_it_holds(verdict: Verdict) -> None:
    page = clip_page(verdict, EVIL)
    listing = index_page([IndexRow(EVIL, "ok", "fake", 0.9, {"voice": 0.9}, EVIL, "clips/a.html", "")])

    for text in (page, listing):
        outline = Outline(text)
        assert outline.open == []
        assert not [one for one in outline.all("img") if "onerror" in one]
        assert "<img src=x onerror=alert(1)>\\n" in outline.text


def test_lanes_sound_and_faces_share_one_axis(verdict: Verdict) -> None:
    page = clip_page(verdict, "clip.mp4")

    outline = Outline(page)
    slider = next(attributes for tag, attributes in outline.tags if attributes.get("role") == "slider")
    length = float(str(slider["data-length"]))
    assert length == pytest.approx(2.0, abs=0.15)
    assert slider["tabindex"] == "0"
    left, width = (
        float(number)
        for number in re.search(r'class="spectrogram" style="margin-left: ([\d.]+)%; width: ([\d.]+)%"', page).groups()
    )  # type: ignore[union-attr]
    assert left == pytest.approx(0, abs=3)
    assert left + width == pytest.approx(100, abs=3)
    counts = [float(number) for number in re.findall(r'<svg viewBox="0 0 ([\d.]+) 100"', page)]
    assert counts == pytest.approx([length] * 2)  # one unit a second, for the two senses that judged


def test_the_page_says_what_it_cannot_show_and_what_was_missing(verdict: Verdict) -> None:
    text = Outline(clip_page(verdict, "clip.mp4")).text

    assert "What this can and cannot show" in text
    assert "no mouth was in sight long enough" in text
    assert "not judged" in text
    assert "frames searched for faces" in text


def test_sound_alone_has_a_player_for_sound_and_no_faces(tmp_path: Path) -> None:
    verdict = Detector((LoudVoice(),), threads=1).judge(write_media(tmp_path / "voice.wav", sound=voice(2.0)))
    page = clip_page(verdict, "voice.wav", media=data_link(b"RIFF", "wav", is_video=False))

    outline = Outline(page)
    assert str(outline.all("audio")[0]["src"]).startswith("data:audio/wav;base64,")
    assert not outline.all("video")
    assert "The leading face" not in outline.text
    assert thumbnail(verdict) is not None


def test_a_container_that_no_browser_plays_is_not_put_inside() -> None:
    assert data_link(b"", "avi", is_video=True) is None


def test_the_index_ranks_and_carries_what_sorting_needs() -> None:
    rows = [
        IndexRow("a.mp4", "ok", "fake", 0.9, {"voice": 0.9}, "", "clips/a.html", "clips/a.jpg"),
        IndexRow("b.mp4", "failed", "", None, {}, "not media", "", ""),
    ]
    outline = Outline(index_page(rows, lang="zh"))

    kept = [one for one in outline.all("tr") if "data-name" in one]
    assert [(one["data-name"], one["data-word"], one["data-p"]) for one in kept] == [
        ("a.mp4", "fake", "0.9"),
        ("b.mp4", "failed", ""),
    ]
    assert "Not media。" in outline.text
    assert outline.open == []


@pytest.mark.slow
def run_browser(arguments: list[str]) -> tuple[str, str]:
    """What the browser printed to stdout and stderr; a browser that hangs is skipped by name, with all its processes ended.

    Seen once in a dozen runs on two busy cores: it spun for five minutes, and its children kept the pipes open.
    """
    with subprocess.Popen(
        [str(CHROMIUM), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as browser:
        try:
            out, err = browser.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.communicate()
            pytest.skip("the browser hung; nothing is known of the page")
    assert browser.returncode == 0, err
    return out, err


@needs_browser
@pytest.mark.parametrize("width", [1100, 500])  # headless windows are no narrower than 500
def test_a_browser_draws_the_page_without_complaint(verdict: Verdict, tmp_path: Path, width: int) -> None:
    content = verdict.path.read_bytes()
    page = clip_page(verdict, EVIL, media=data_link(content, verdict.facts.container, is_video=True))
    # The page's own script reports what the browser made of it; it is allowed by its hash, this probe by replacing it.
    probe = (
        "document.title = JSON.stringify({scroll: document.documentElement.scrollWidth,"
        " lanes: [...document.querySelectorAll('.lane,.spectrogram,.strip')].map(e => Math.round(e.getBoundingClientRect().left)),"
        " head: document.getElementById('head').getBoundingClientRect().left})"
    )
    script = page_file("clip.js") + probe
    page = page.replace(script_hash(page_file("clip.js")), script_hash(script)).replace(page_file("clip.js"), script)
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]

    out, err = run_browser([*arguments, f"--window-size={width},1200", "--dump-dom", path.as_uri()])

    assert "CONSOLE" not in err, [line for line in err.splitlines() if "CONSOLE" in line]
    measured = json.loads(re.search(r"<title>(.*?)</title>", out).group(1))  # type: ignore[union-attr]
    assert measured["scroll"] <= width  # nothing is wider than the window
    assert max(measured["lanes"]) - min(measured["lanes"]) <= 4  # one axis, left ends together
    assert abs(measured["head"] - measured["lanes"][0]) <= 4


def test_few_bars_leave_no_gap_that_looks_like_missing_seconds(verdict: Verdict) -> None:
    """The gap between two bars of a short clip was a twentieth of the whole lane."""
    page = clip_page(verdict, "a.mp4")

    lanes = re.findall(r'<svg viewBox="0 0 ([\d.]+) 100".*?</svg>', page, re.DOTALL)
    widths = [float(width) for width in re.findall(r'<rect class="\w+" x="\d+" y="[\d.]+" width="([\d.]+)"', page)]
    assert lanes
    assert min(widths) >= 1 - 0.0041 * float(lanes[0])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_a_picture_s_score_is_made_of_stands_beside_what_is_usual(verdict: Verdict, lang: Lang) -> None:
    picture = verdict.opinions["picture"]
    assert isinstance(picture, SenseOpinion)
    traits = (Trait("pasted", 1.26, 0.2), Trait("unison", 0.1, 0.9), Trait("motion", None, 1.7))
    opinions = {**verdict.opinions, "picture": replace(picture, traits=traits)}

    page = clip_page(replace(verdict, opinions=opinions), "clip.mp4", lang=lang)

    rows = re.findall(r"<tr><td>(.*?)</td><td.*?>(.*?)</td><td.*?>(.*?)</td><td.*?>(.*?)</td></tr>", page)
    assert [row[1:] for row in rows[:3]] == [
        ("+1.3", "+0.2", say("trait_beyond", lang)),
        ("+0.1", "+0.9", say("trait_within", lang)),
        (say("trait_unknown", lang), "+1.7", ""),
    ]
    assert rows[0][0] == say("trait_pasted", lang)
    assert say("traits", lang).replace("'", "&#39;") not in clip_page(
        verdict, "clip.mp4", lang=lang
    )  # a sense without traits


@pytest.mark.parametrize(("value", "said"), [(0.5, "usual"), (9.0, "unusual"), (-9.0, "rare, but no sign of forgery")])
def test_a_cue_beyond_real_clips_is_a_sign_on_one_side_only(verdict: Verdict, value: float, said: str) -> None:
    cue = CueView("face_flicker", "picture", value, "share", (0.0, 0.5, 1.0), "high", separates=True, auc=0.7)

    page = clip_page(replace(verdict, evidence=replace(verdict.evidence, cues=(cue,))), "clip.mp4")

    assert f'<span class="small">{said}</span>' in page
