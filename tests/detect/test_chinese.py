"""A Chinese reader of a scan meets no English sentence, whatever is wrong with the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_clips import RATE, voice, write_clip
from typer.testing import CliRunner

from ffdv.app.cli import app
from ffdv.media.write import write_media
from ffdv.records import Samples
from visible import english_sentences, visible_texts

ODD_MEDIA = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd_media"


def odd_clips(folder: Path) -> Iterator[Path]:
    """Files that lack something, or are none."""
    noise = np.random.default_rng(0).normal(0, 0.2, 3 * RATE).astype(np.float32)
    made = voice(3.0)
    for name, sound in (
        ("silent.wav", Samples(np.zeros((1, 2 * RATE), np.float32), RATE)),
        ("noise.wav", Samples(noise[None], RATE)),
        ("hum.wav", made),
        ("short.wav", voice(0.05)),
        ("half-second.wav", voice(0.5)),
        ("too-loud.wav", replace(made, values=np.float32(1e6) * made.values)),
        ("low-rate.wav", Samples(made.values[:, ::8], 2000)),
    ):
        yield write_media(folder / name, sound=sound)
    yield write_clip(folder / "face.mp4", seconds=3.0)
    yield write_clip(folder / "wall.mp4", seconds=1.0, sound=False, face=False)
    for name, content in (("empty.mp4", b""), ("words.mp4", b"not a film"), ("zip.mp4", b"PK\x03\x04" + bytes(500))):
        (folder / name).write_bytes(content)
        yield folder / name
    cut = folder / "cut.mp4"
    cut.write_bytes((folder / "face.mp4").read_bytes()[:20_000])
    yield cut


def scan_in_chinese(arguments: list[str], out: Path) -> tuple[list[str], str]:
    """All texts of pages and JSON, and what the terminal shows."""
    told = CliRunner().invoke(app, ["scan", *arguments, "--out", str(out), "--lang", "zh", "--workers", "1"])
    assert told.exit_code in (0, 1), told.output
    texts = [text for page in out.rglob("*.html") for text in visible_texts(page.read_text("utf-8"))]
    for path in out.rglob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        texts += [content["limits"], *content["missing"]] if content["status"] == "ok" else [content["reason"]]
    return texts, told.output


def test_no_page_json_or_terminal_line_of_odd_files_is_english(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    clips = list(odd_clips(tmp_path / "clips"))

    texts, shown = scan_in_chinese([str(tmp_path / "clips"), str(tmp_path / "nowhere.mp4")], tmp_path / "out")

    assert len(list((tmp_path / "out").rglob("*.json"))) == len(clips)
    assert len(texts) > 500
    assert english_sentences(texts) == []
    assert english_sentences(shown.splitlines()) == []
    assert "文件是空的（0 字节）；请重新复制或下载" in texts
    assert "没有这个文件。" in texts


def test_one_file_that_cannot_be_used_ends_in_a_chinese_line(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_bytes(b"not a film")

    told = CliRunner().invoke(app, ["scan", str(tmp_path / "words.mp4"), "--lang", "zh"])
    machine = CliRunner().invoke(app, ["scan", str(tmp_path / "words.mp4"), "--lang", "zh", "--json"])

    assert told.exit_code == machine.exit_code == 1
    assert told.output.startswith("错误：")
    assert json.loads(machine.stdout)["reason"].startswith("无法作为声音或视频读取（数据无效）")


def refused(*arguments: object) -> str:
    """The line in which a request that cannot be carried out ends, for a Chinese reader."""
    told = CliRunner().invoke(app, ["scan", *map(str, arguments), "--lang", "zh", "--workers", "1"])
    assert told.exit_code == 2, told.output
    return told.output.strip()


def test_a_request_that_cannot_be_carried_out_ends_in_a_chinese_line(tmp_path: Path) -> None:
    clip = write_media(tmp_path / "clip.wav", sound=voice(1.2))
    tables = {
        "no-file-column.csv": "title,target\nclip.wav,1\n",
        "no-row.csv": "video_name,target\nnowhere.wav,1\n../clip.wav,0\n",
        "header-alone.csv": "video_name,target\n",
        "blank.csv": "\n",
        "no-header.csv": "clip.wav,1\n",
        "semicolons.csv": "video_name;target\nclip.wav;1\n",
        "twice.csv": "video_name,a,a\nclip.wav,1,2\n",
        "quotes.csv": 'video_name,target\n"clip.wav,1\n',
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "gbk.csv").write_bytes("video_name,target\n视频.mp4,1\n".encode("gbk"))
    (tmp_path / "utf16.csv").write_text("video_name,target\n", encoding="utf-16")
    (tmp_path / "empty").mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "notes.doc").touch()
    (tmp_path / "scores.csv").touch()

    said = {name: refused(tmp_path / name) for name in (*tables, "gbk.csv", "utf16.csv", "empty", "papers")}
    said["a file to write into"] = refused(clip, "--out", tmp_path / "scores.csv")
    said["below a file"] = refused(clip, "--out", tmp_path / "scores.csv" / "report")
    said["no minutes"] = refused(clip, "--max-minutes", 0)

    for name, line in said.items():
        assert line.startswith("错误："), name
        # a table's own columns stand in it as they are
        shown = line.replace(str(tmp_path), "").replace("video_name,target", "").replace("CSV UTF-8", "")
        assert english_sentences([shown]) == [], line
    assert "：是空文件夹；请给出" in said["empty"]
    assert "没有一行可用（缺少文件 1，在数据文件夹之外 1）：第 2 行：'nowhere.wav'：" in said["no-row.csv"]
    assert "scores.csv：是文件；请给出存放页面的文件夹" in said["a file to write into"]


def test_the_finder_of_english_finds_it() -> None:
    page = "<p>声音：the sound is noisy</p><p title='one two three'>aac, 16000 Hz, 1 ch</p><script>let it be</script>"

    assert english_sentences(visible_texts(page)) == ["声音：the sound is noisy", "one two three"]
    assert english_sentences(["a_b c-d.mp4 net_logit -3", "AUC、EER 和 TPR", "log_loss brier ece"]) == []


@pytest.mark.slow
@pytest.mark.skipif(
    not ODD_MEDIA.is_dir(), reason="the odd files (../shared/data/odd_media) are not beside the project"
)
def test_no_page_of_the_odd_files_is_english(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for path in ODD_MEDIA.rglob("*"):
        if path.is_file() and path.suffix != ".csv":
            shutil.copy(path, clips / "_".join(path.relative_to(ODD_MEDIA).parts))

    texts, shown = scan_in_chinese([str(clips)], tmp_path / "out")

    assert english_sentences(texts) == []
    assert english_sentences(shown.splitlines()) == []
