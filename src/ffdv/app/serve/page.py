"""The page on which clips are dropped: one file, no build step, nothing fetched from elsewhere; in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ffdv.detect.report import MARKS, TONES, script_hash
from ffdv.detect.words import say
from ffdv.page import own_markup, render
from ffdv.sentences import LANGUAGES, Lang

# code → (English, Chinese)
WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Is this video forged?", "这段视频是伪造的吗？"),
    "other_language": ("中文", "English"),
    "lead": (
        "Clips of talking people are judged by voice, by picture, and by whether lips and sound belong together. No answer is proof.",
        "对有人说话的视频，分别从声音、画面、口型与声音是否相配三方面判断。任何结论都不能当作证据。",
    ),
    "drop": ("Drop clips here", "把视频拖到这里"),
    "choose": ("or choose files", "或选择文件"),
    "most": ("up to {most} MB each; video or sound", "每个不超过 {most} MB；视频或音频"),
    "privacy": (
        "Clips go to the machine that runs this service and nowhere else. They are removed after {keep}, or with “Remove”.",
        "视频只会传到运行本服务的机器，不会传到别处；{keep}后自动删除，也可点“删除”。",
    ),
    "minutes": ("{count} minutes", "{count} 分钟"),
    "clips": ("Clips", "视频"),
    "sending": ("sending {share} %", "上传中 {share} %"),
    "waiting": ("waiting; {ahead} before it", "排队中，前面还有 {ahead} 个"),
    "next": ("waiting; it is next", "排队中，下一个就是它"),
    "running": ("being looked at ...", "分析中……"),
    "unsent": ("waits to be sent", "等待上传"),
    "full": ("the service is full; it is sent when there is room", "服务繁忙，有空位时会自动上传"),
    "lost": ("the connection is lost; trying again", "连接中断，正在重试"),
    "broken": (
        "sending it breaks off each time; a proxy in between may not take clips as large",
        "上传每次都会中断，中间的代理可能不允许这么大的文件",
    ),
    "not_removed": ("could not be removed; the service was not reached, try again", "未能删除：无法连接服务，请重试"),
    "gone": ("it is no longer here; hand it in again", "服务中已没有这个视频，请重新上传"),
    "folder": ("it is a folder; drop the clips in it", "这是文件夹，请拖入其中的视频文件"),
    "empty": ("the file is empty; copy or download it again", "文件是空的，请重新复制或下载"),
    "unreadable": ("the file cannot be read; is it still there?", "无法读取该文件，请确认它仍在原处"),
    "gone_title": ("Not here any more", "已不在服务中"),
    "gone_text": (
        "There is no such clip here (any more): clips are removed after a while. Hand it in again.",
        "服务中没有这个视频：视频会在一段时间后删除。请重新上传。",
    ),
    "open": ("Evidence", "查看依据"),
    "remove": ("Remove", "删除"),
    "removed": ("removed", "已删除"),
    "probability": ("score {percent}", "得分 {percent}"),
    "too_large": ("larger than this service takes ({most} MB)", "超过本服务的上限（{most} MB）"),
    "unreachable": ("the service cannot be reached; is it still running?", "无法连接服务，请确认它仍在运行"),
    "failed": ("Could not be judged", "未能判断"),
    "needs_script": (
        "This page needs JavaScript; with curl it goes without:",
        "本页面需要 JavaScript；也可以使用 curl：",
    ),
}
# What the page's script says.
SCRIPT_WORDS = (
    "sending", "waiting", "next", "running", "unsent", "full", "lost", "broken", "open", "remove", "removed", "not_removed", "gone", "folder", "empty", "unreadable",
    "probability", "too_large", "unreachable", "failed",
)  # fmt: skip


def front_page(lang: Lang, *, most_bytes: int, keep_seconds: float) -> str:
    """The page in "en" or "zh". most_bytes: of one clip; keep_seconds: after which clips are removed."""
    place = LANGUAGES.index(lang)
    most, keep = f"{most_bytes / 1e6:g}", WORDS["minutes"][place].format(count=f"{keep_seconds / 60:g}")

    def t(code: str) -> str:
        return WORDS[code][place].format(most=most, keep=keep)

    script = _file("serve.js")
    words = {code: WORDS[code][place] for code in SCRIPT_WORDS}
    verdicts = {word: {"text": say(word, lang), "mark": mark, "tone": TONES[word]} for word, mark in MARKS.items()}
    return render(
        _file("serve.html"),
        lang=lang,
        t=t,
        other=next(one for one in LANGUAGES if one != lang),
        words=json.dumps(words, ensure_ascii=False),
        verdicts=json.dumps(verdicts, ensure_ascii=False),
        most_bytes=most_bytes,
        own_style=own_markup(_file("serve.css")),
        script=own_markup(script),
        script_hash=script_hash(script),
    )


GONE = """{% extends "page" %}{% block title %}{{ title }}{% endblock %}{% block body %}<h1>{{ title }}</h1><p>{{ text }}</p>{% endblock %}"""


def gone_page(lang: Lang) -> str:
    """In place of the page of a clip that is not here any more."""
    place = LANGUAGES.index(lang)
    return render(GONE, lang=lang, title=WORDS["gone_title"][place], text=WORDS["gone_text"][place])


@cache
def _file(name: str) -> str:
    return files("ffdv.app.serve").joinpath("web", name).read_text(encoding="utf-8")
