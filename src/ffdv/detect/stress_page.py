"""A stress table for people and machines: stress.html (heat maps, then every number), stress.png, stress.csv, stress.json."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ffdv.data.tables import write_table, write_whole
from ffdv.detect.report import MARKS
from ffdv.detect.stress_table import OVERALL, UNALTERED, WORDS, StressRow, StressTable
from ffdv.page import FAKE_COLOUR, REAL_COLOUR, drawn, render
from ffdv.sentences import Sentence, language, worded

# Where a cell's colour is full: an AUC lower by so much, a false-alarm rate higher by so much.
FULL_AUC_DROP, FULL_ALARM_RISE = 0.3, 0.5
DEEPEST_SHADE = 55  # per cent of colour in a cell, so that ink can be read on it

PAGE = """{% extends "page" %}
{% block title %}{{ w.title }} · {{ model }}{% endblock %}
{% block style %}
table.heat { border-collapse: separate; border-spacing: 3px; } table.heat th, table.heat td { border: 0; font-size: .85rem; line-height: 1.25; }
table.heat th { font-weight: 500; padding: 0 .6rem 0 0; vertical-align: middle; position: sticky; left: 0; background: var(--paper); min-width: 4.6rem; }
table.heat td { border-radius: .3rem; padding: .3rem .5rem; width: 9.2rem; min-width: 5.2rem; } table.heat small { display: block; font-size: .75rem; }
td.number small { display: block; color: var(--soft); font-size: .9em; } th.name { white-space: nowrap; font-weight: 500; }
table.called { min-width: 34rem; } table.called th.half, table.called td.half { width: 40%; }
.bar { display: flex; gap: 2px; height: 1.3rem; font-size: .8rem; line-height: 1.3rem; white-space: nowrap; } .bar > span { min-width: 2.6em; text-align: center; border-radius: .2rem; forced-color-adjust: none; color: var(--ink); }
.key i { font-style: normal; white-space: nowrap; } .key span { display: inline-block; width: 1.1rem; height: 1.1rem; border-radius: .2rem; vertical-align: -.2rem; margin: 0 .3rem 0 .8rem; }
{% endblock %}
{% block body %}
<h1>{{ w.title }}</h1>
<p>{{ w.of | format(model, data_name, worded(table.part, lang)) }}<br>
<span class="soft small">{{ w.how | format(100 * table.wanted, table.max_seconds, table.seconds_per_score) }}</span></p>
{% for text in table.warnings %}<p class="note">{{ worded(text, lang) }}</p>{% endfor %}
<ul>{% for text in findings %}<li>{{ text }}</li>{% endfor %}</ul>
{% for sense in table.senses %}
{% set plain = table.unaltered(sense) %}
{% if table.senses | length > 1 %}<h2>{{ w.senses[sense] }}</h2>{% endif %}
<h{{ 3 if table.senses | length > 1 else 2 }}>{{ w.auc_map }}</h{{ 3 if table.senses | length > 1 else 2 }}>
<p class="soft small key">{{ w.auc_key }}<i><span style="background: {{ shade(-1) }}"></span>{{ w.worse }}</i><i><span style="background: {{ shade(1) }}"></span>{{ w.better }}</i></p>
{{ heat(sense, "auc") }}
<h{{ 3 if table.senses | length > 1 else 2 }}>{{ w.alarm_map }}</h{{ 3 if table.senses | length > 1 else 2 }}>
<p class="soft small key">{{ w.alarm_key }}<i><span style="background: {{ shade(-1) }}"></span>{{ w.more }}</i><i><span style="background: {{ shade(1) }}"></span>{{ w.fewer }}</i></p>
{{ heat(sense, "false_alarms") }}
{% endfor %}
{% if called %}
<h2>{{ w.called }}</h2>
<p class="soft small key">{{ w.called_key }}{% for word in words %}<i><span style="background: {{ word_shade[loop.index0] }}"></span>{{ marks[word] }} {{ w.verdicts[word] }}</i>{% endfor %}</p>
<div class="wide"><table class="called"><thead><tr><th scope="col">{{ w.alteration }}</th><th scope="col" class="half">{{ w.real_clips }}</th><th scope="col" class="half">{{ w.fake_clips }}</th></tr></thead><tbody>
{% for row in called %}<tr><th scope="row" class="name">{{ name(row) }}</th>{% for counts in (row.called.real, row.called.fake) %}<td class="half"><div class="bar">{% for count in counts %}{% if count %}<span style="flex: {{ count }} 1 0; background: {{ word_shade[loop.index0] }}" title="{{ w.verdicts[words[loop.index0]] }}: {{ count }} / {{ counts | sum }}"><span aria-hidden="true">{{ marks[words[loop.index0]] }}</span><span class="unseen">{{ w.verdicts[words[loop.index0]] }}</span> {{ count }}</span>{% endif %}{% endfor %}</div></td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endif %}
<h2>{{ w.all }}</h2>
<p class="soft small">{{ w.by_groups | format(table.groups_by) if table.groups_by else w.by_clips }}</p>
<div class="wide"><table class="full"><thead><tr><th scope="col">{{ w.alteration }}</th>{% if table.senses | length > 1 %}<th scope="col">{{ w.sense }}</th>{% endif %}<th scope="col" class="number">{{ w.clips }}</th><th scope="col" class="number">AUC</th><th scope="col" class="number">{{ w.alarms }}</th><th scope="col" class="number">{{ w.hits }}</th></tr></thead><tbody>
{% for row in table.rows %}<tr{% if worse(row) %} class="found"{% endif %}>
<th scope="row" class="name">{{ name(row) }}</th>{% if table.senses | length > 1 %}<td>{{ w.senses[row.sense] }}</td>{% endif %}<td class="number">{{ row.num_real }} + {{ row.num_fake }}{% if row.num_failed %}<small>{{ w.failed | format(row.num_failed) }}</small>{% endif %}</td>
<td class="number">{{ number(row.auc) }}<small>{{ change(row.auc_change) }}</small></td><td class="number">{{ percent(row.false_alarms) }}<small>{{ points(row.false_alarms_change) }}</small></td><td class="number">{{ percent(row.hits) }}<small>{{ points(row.hits_change) }}</small></td></tr>
{% endfor %}</tbody></table></div>
<footer>{{ w.footer }}</footer>
{% endblock %}
"""
HEAT = """<div class="wide"><table class="heat">
{% for family, cells in rows %}<tr><th scope="row">{{ family }}</th>{% for text, moved, below, colour, sure, hint in cells %}<td style="background: {{ colour }}" title="{{ hint }}">{% if sure %}<b>{{ text }} {{ moved }}</b>{% else %}{{ text }} {{ moved }}{% endif %}<small>{{ below }}</small></td>{% endfor %}</tr>
{% endfor %}</table></div>"""


@dataclass(frozen=True)
class Words:
    """The page's words in one language; with % where numbers go."""

    title: str
    of: str
    how: str
    auc_map: str
    auc_key: str
    alarm_map: str
    alarm_key: str
    worse: str
    better: str
    more: str
    fewer: str
    all: str
    by_clips: str
    by_groups: str
    alteration: str
    sense: str
    clips: str
    change: str
    alarms: str
    hits: str
    failed: str
    footer: str
    unaltered: str
    best: str
    weakest: str
    loudest: str
    steady: str
    count: str
    called: str
    called_key: str
    real_clips: str
    fake_clips: str
    verdict: str
    verdict_steady: str
    senses: Mapping[str, str]
    verdicts: Mapping[str, str]
    families: Mapping[str, str]
    levels: Mapping[str, str]  # whole levels, and words within levels that hold a number


# Names that no language changes.
_CODECS = {
    "mp3": "MP3",
    "aac": "AAC",
    "opus": "Opus",
    "amr": "AMR",
    "h264": "H.264",
    "hevc": "HEVC",
    "vp9": "VP9",
    "av1": "AV1",
}
ENGLISH = Words(
    title="What the detector stands",
    of="%s on %s (%s).",
    how="The threshold gives %.0f %% false alarms on the clips as they are, and stays there. The first %g s of each clip; %.2f s a score.",
    auc_map="AUC under each alteration",
    auc_key="Beside each number: its change. Bold: the 95 % interval of the change leaves zero out.",
    alarm_map="False alarms at the fixed threshold",
    alarm_key="Share of real clips called fake; beside it the change in points.",
    worse="worse",
    better="better",
    more="more",
    fewer="fewer",
    all="Every number",
    by_clips="95 % intervals, bootstrap over clips; changes are paired. Shaded: worse, and the interval leaves zero out.",
    by_groups="95 %% intervals, bootstrap over %s; changes are paired. Shaded: worse, and the interval leaves zero out.",
    alteration="alteration",
    sense="sense",
    clips="real + fake",
    change="change",
    alarms="false alarms",
    hits="fakes found",
    failed="%d failed",
    footer="Alterations are simulated; no messenger publishes what it does. Written by ffdv.",
    unaltered="as they are",
    best="Unaltered: AUC %s, %s of real clips called fake, %s of fakes found.",
    weakest="AUC suffers most from %s: %s, a change of %s.",
    loudest="False alarms rise most under %s: %s of real clips, a change of %s points.",
    steady="No alteration lowers the AUC, or raises false alarms, beyond chance.",
    count="%d of %d alterations lower the AUC beyond chance, %d raise false alarms; by luck alone about %.0f of each would.",
    called="What the verdict says",
    called_key="Clips that each verdict is given to. It dares less where a clip is unlike what training saw, and may leave it open.",
    real_clips="real clips",
    fake_clips="fake clips",
    verdict="By the verdict: %d of %d real clips are called fake as they are; most, %d of %d, under %s. Of fakes %d of %d are called fake as they are.",
    verdict_steady="By the verdict: %d of %d real clips are called fake as they are, and under no alteration a larger share. Of fakes %d of %d are called fake as they are.",
    verdicts={"fake": "probably fake", "cannot tell": "cannot tell", "real": "no sign of forgery found"},
    senses={OVERALL: "overall", "voice": "voice", "picture": "picture", "agreement": "lip mismatch"},
    families={
        **_CODECS,
        "low-pass": "low-pass filter",
        "white-noise": "white noise",
        "pink-noise": "pink noise",
        "trim": "silence cut",
        "resize": "made smaller",
        "crop": "cropped",
        "chat": "chat app",
    },
    levels={},
)
CHINESE = Words(
    title="检测器经得起什么",
    of="%s，数据 %s（%s）。",
    how="阈值按未处理片段的误报率 %.0f %% 确定，此后不变。每个片段取前 %g 秒；每次评分 %.2f 秒。",
    auc_map="各种处理下的 AUC",
    auc_key="数字旁：变化量。粗体：变化量的 95 % 区间不含零。",
    alarm_map="固定阈值下的误报率",
    alarm_key="真实片段被判为伪造的比例；旁为变化的百分点。",
    worse="变差",
    better="变好",
    more="增多",
    fewer="减少",
    all="全部数字",
    by_clips="95 % 区间，按片段自助抽样；变化量为配对比较。底色：变差且区间不含零。",
    by_groups="95 %% 区间，按 %s 分组自助抽样；变化量为配对比较。底色：变差且区间不含零。",
    alteration="处理",
    sense="依据",
    clips="真实 + 伪造",
    change="变化",
    alarms="误报率",
    hits="检出率",
    failed="%d 个失败",
    footer="处理均为模拟；没有聊天软件公开其参数。由 ffdv 生成。",
    unaltered="未处理",
    best="未处理：AUC %s，误报率 %s，检出率 %s。",
    weakest="AUC 受损最大的是 %s：%s，变化 %s。",
    loudest="误报率上升最多的是 %s：%s，变化 %s 个百分点。",
    steady="没有任何处理使 AUC 下降或误报率上升超出偶然范围。",
    count="%d / %d 种处理使 AUC 下降超出偶然范围，%d 种使误报率上升；仅凭偶然各约 %.0f 种。",
    called="结论",
    called_key="各结论对应的片段数。片段与训练所见不同时，结论更谨慎，也可能无法判断。",
    real_clips="真实片段",
    fake_clips="伪造片段",
    verdict="按结论：未处理时 %d / %d 个真实片段被判为伪造；最多为 %d / %d（%s）。未处理时 %d / %d 个伪造片段被判为伪造。",
    verdict_steady="按结论：未处理时 %d / %d 个真实片段被判为伪造，任何处理下比例都没有更高。未处理时 %d / %d 个伪造片段被判为伪造。",
    verdicts={"fake": "疑似伪造", "cannot tell": "无法判断", "real": "未发现伪造迹象"},
    senses={OVERALL: "总分", "voice": "声音", "picture": "画面", "agreement": "声画不一致"},
    families={
        **_CODECS,
        "telephone": "电话",
        "low-pass": "低通",
        "white-noise": "白噪声",
        "pink-noise": "粉红噪声",
        "re-recorded": "翻录",
        "gain": "音量",
        "trim": "剪去静音",
        "speed": "变速",
        "resize": "缩小",
        "crop": "裁剪",
        "grain": "画面噪点",
        "blur": "模糊",
        "chat": "聊天软件",
    },
    levels={
        "good speaker, near": "好音箱，近距",
        "laptop, desk": "笔记本，桌面",
        "phone, across a room": "手机，房间另一头",
        "phone, hall": "手机，大厅",
        "sent": "发送一次",
        "passed on": "转发一次",
        "passed on often": "多次转发",
        "by telephone": "经电话",
        "louder": "更响",
        "quieter": "更轻",
        "below": "低于",
        "SNR": "信噪比",
    },
)
_WORDS = {"en": ENGLISH, "zh": CHINESE}


def words(lang: str) -> Words:
    """The words of a language. Raises RecipeError for one that there is not."""
    return _WORDS[language(lang)]


def write_pages(table: StressTable, out: Path, *, lang: str = "en") -> None:
    """Write stress.csv, stress.json, stress.html and stress.png into the folder `out`, each whole or not at all."""
    write_table(out / "stress.csv", table.headings(), table.cells())
    for name, content in (
        ("stress.json", (table.to_json() + "\n").encode()),
        ("stress.html", as_html(table, lang=lang).encode("utf-8", "backslashreplace")),
        ("stress.png", as_png(table)),
    ):
        write_whole(out / name, content)


def as_html(table: StressTable, *, lang: str = "en") -> str:
    """One self-contained page: findings in words, heat maps of AUC and false alarms, every number with its interval."""
    w = words(lang)

    def heat(sense: str, number: str) -> object:
        return drawn(
            HEAT,
            rows=[
                (w.families.get(family, family), [_cell(row, number, w) for row in rows])
                for family, rows in _by_family(table, sense)
            ],
        )

    return render(
        PAGE,
        lang=lang,
        worded=worded,
        table=table,
        w=w,
        findings=findings(table, w),
        heat=heat,
        shade=_shade,
        called=[row for row in table.rows if row.called is not None],
        words=WORDS,
        marks=MARKS,
        word_shade=[f"color-mix(in srgb, var(--{colour}) 40%, var(--card))" for colour in ("fake", "unsure", "real")],
        worse=is_worse,
        name=lambda row: w.unaltered if row.family == UNALTERED else _name(row, w),
        model=worded(table.model, lang) if isinstance(table.model, Sentence) else Path(table.model).name or table.model,
        data_name=Path(table.data).name or table.data,
        number=lambda number: "" if number is None else str(number),
        change=lambda number: "" if number is None else _interval(number, "{:+.3f}"),
        percent=lambda number: "" if number is None else _interval(number, "{:.1%}"),
        points=lambda number: "" if number is None else _interval(number, "{:+.1f}", 100),
    )


def findings(table: StressTable, w: Words = ENGLISH) -> list[str]:
    """What the table says, in a few sentences: the overall score unaltered, what hurts most, and how much luck could do."""
    plain, rows = table.unaltered(OVERALL), [row for row in table.altered(OVERALL) if row.auc_change is not None]
    if plain.auc is None or plain.false_alarms is None or plain.hits is None:
        return [f"{plain.num_real} + {plain.num_fake}"]
    said = [w.best % (plain.auc, _interval(plain.false_alarms, "{:.1%}"), _interval(plain.hits, "{:.1%}"))]
    lower = [row for row in rows if row.auc_change and row.auc_change.high < 0]
    louder = [row for row in rows if row.false_alarms_change and row.false_alarms_change.low > 0]
    if lower:
        row = min(lower, key=lambda row: row.auc_change.value)  # type: ignore[union-attr]
        said.append(w.weakest % (_name(row, w), row.auc, _interval(row.auc_change, "{:+.3f}")))
    if louder:
        row = max(louder, key=lambda row: row.false_alarms_change.value)  # type: ignore[union-attr]
        said.append(
            w.loudest
            % (_name(row, w), _interval(row.false_alarms, "{:.1%}"), _interval(row.false_alarms_change, "{:+.1f}", 100))
        )
    if not lower and not louder:
        said.append(w.steady)
    elif rows:
        said.append(w.count % (len(lower), len(rows), len(louder), 0.025 * len(rows)))
    return [*said, *_verdict_found(table, w)]


def _verdict_found(table: StressTable, w: Words) -> list[str]:
    """What the verdict says of the clips as they are, and where it accuses most real ones; nothing where the model gives none."""
    plain = table.unaltered(OVERALL)
    called = [(row, row.called) for row in table.altered(OVERALL) if row.called is not None and row.num_real]
    if plain.called is None or not called:
        return []
    row, most = max(called, key=lambda pair: pair[1].real[0] / pair[0].num_real)
    real, fake = plain.called.real, plain.called.fake
    if most.real[0] * plain.num_real <= real[0] * row.num_real:
        return [w.verdict_steady % (real[0], plain.num_real, fake[0], plain.num_fake)]
    return [w.verdict % (real[0], plain.num_real, most.real[0], row.num_real, _name(row, w), fake[0], plain.num_fake)]


def is_worse(row: StressRow) -> bool:
    """Whether the AUC fell, or false alarms rose, by more than its interval allows for chance."""
    fell = row.auc_change is not None and row.auc_change.high < 0
    rose = row.false_alarms_change is not None and row.false_alarms_change.low > 0
    return fell or rose


def as_png(table: StressTable) -> bytes:
    """Both heat maps of the overall score as a picture on white, in English; by Pillow alone."""
    from PIL import Image, ImageDraw, ImageFont

    families = _by_family(table, OVERALL)
    columns = max((len(rows) for _, rows in families), default=1)
    left, cell_width, cell_height, top = 130, 168, 38, 74
    width, height = 2 * (left + columns * cell_width) + 30, top + cell_height * len(families) + 16
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    title, text, small = (ImageFont.load_default(size) for size in (17, 13, 11))
    for number, heading, start in (
        ("auc", "AUC under each alteration", 0),
        ("false_alarms", "False alarms at the fixed threshold", left + columns * cell_width + 30),
    ):
        plain = _number(table.unaltered(OVERALL), number)
        pen.text((start + 10, 12), heading, fill="black", font=title)
        pen.text(
            (start + 10, 40), f"as they are: {plain}; beside it the change (* beyond chance)", fill="#555555", font=text
        )
        for place, (family, rows) in enumerate(families):
            y = top + place * cell_height
            pen.text((start + 10, y + 10), ENGLISH.families.get(family, family), fill="black", font=text)
            for column, row in enumerate(rows):
                x = start + left + column * cell_width
                pen.rectangle((x, y, x + cell_width - 4, y + cell_height - 4), fill=_blend(_badness(row, number)))
                value, moved, below, _, sure, _ = _cell(row, number, ENGLISH)
                pen.text((x + 6, y + 2), _plain(f"{value}  {moved}{' *' if sure else ''}"), fill="black", font=text)
                pen.text((x + 6, y + 18), _plain(below), fill="black", font=small)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def _by_family(table: StressTable, sense: str) -> list[tuple[str, list[StressRow]]]:
    families: dict[str, list[StressRow]] = {}
    for row in table.altered(sense):
        families.setdefault(row.family, []).append(row)
    return list(families.items())


def _cell(row: StressRow, number: str, w: Words) -> tuple[str, str, str, str, bool, str]:
    """Number, change, the small line below, colour, whether the change is beyond chance, and the hint with the intervals."""
    value, change = getattr(row, number), getattr(row, f"{number}_change")
    if value is None or change is None:
        return "–", "", f"{_level(row, w)} · {row.num_real} + {row.num_fake}", "transparent", False, ""
    moved = _signed(change.value, 2) if number == "auc" else _signed(100 * change.value, 0)
    hint = f"{_interval(value, '{:.3f}')}, {_interval(change, '{:+.3f}')}"
    return _number(row, number), moved, _level(row, w), _shade(_badness(row, number)), change.significant, hint


def _signed(value: float, digits: int) -> str:
    """A change as people write it: what rounds to nothing has no sign."""
    shown = f"{value:+.{digits}f}".replace("-", "−")
    return "±0" if not shown.strip("+−0.") else shown


def _number(row: StressRow, number: str) -> str:
    value = getattr(row, number)
    if value is None:
        return "–"
    return f"{value.value:.3f}" if number == "auc" else f"{value.value:.0%}"


def _badness(row: StressRow, number: str) -> float:
    """From -1 (full orange: worse) to 1 (full blue: better)."""
    change = getattr(row, f"{number}_change")
    if change is None:
        return 0.0
    share = change.value / FULL_AUC_DROP if number == "auc" else -change.value / FULL_ALARM_RISE
    return float(min(1.0, max(-1.0, share)))


def _shade(share: float) -> str:
    """A colour of the page's own: orange for worse, blue for better, as deep as it is."""
    return (
        f"color-mix(in srgb, var(--{'fake' if share < 0 else 'real'}) {DEEPEST_SHADE * abs(share):.0f}%, var(--card))"
    )


def _blend(share: float) -> str:
    """The same on white."""
    full = FAKE_COLOUR if share < 0 else REAL_COLOUR
    depth = DEEPEST_SHADE / 100 * abs(share)
    mixed = (round(255 + depth * (int(full[at : at + 2], 16) - 255)) for at in (1, 3, 5))
    return "#" + "".join(f"{level:02x}" for level in mixed)


def _interval(number: object, form: str, times: float = 1) -> str:
    value, low, high = (form.format(times * getattr(number, name)) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _level(row: StressRow, w: Words) -> str:
    """The level in the page's language: a name of its own, or a number whose words are put into it."""
    if row.level in w.levels:
        return w.levels[row.level]
    return " ".join(w.levels.get(word, word) for word in row.level.split()) or w.unaltered


def _name(row: StressRow, w: Words) -> str:
    return f"{w.families.get(row.family, row.family)} {_level(row, w)}"


def _plain(text: str) -> str:
    """What the font of Pillow can draw."""
    return text.replace("σ", "sigma").replace("−", "-").replace("·", ":").replace("×", "x").replace("±", "")
