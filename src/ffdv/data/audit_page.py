"""An audit for people and machines: audit.html (self-contained, no scripts), audit.json and audit.png.

It lies in data/ beside the audit, because it draws that one value and nothing else; detection and training need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ffdv.data.audit_report import AuditReport, Fact, Spread, side_word
from ffdv.data.audit_words import with_unit
from ffdv.errors import ExtraMissing
from ffdv.page import FAKE_COLOUR, SOFT_COLOUR, drawn, render
from ffdv.sentences import STOPS, Sentence, language, worded
from ffdv.whole_file import write_atomically

# The picture shows the strongest facts; the page has them all.
MOST_DRAWN = 20
PAGE = """{% extends "page" %}
{% block title %}{{ w.title | format(report.data) }}{% endblock %}
{% block body %}
<h1>{% if report.against %}{{ w.differs | format(report.data, report.against) }}{% else %}{{ w.leaks | format(report.data) }}{% endif %}</h1>
<p>{{ w.counted | format(report.counts[0], sides[0], report.counts[1], sides[1]) }}
{%- if report.groups_by %}{{ w.kept_together | format(report.groups_by) }}{% endif %}
{%- if report.failures %}{{ w.not_read | format(report.failures | length) }}{% endif %}{{ stop }}
{{ w.first }}</p>
<ul>{% for sentence in report.sentences %}<li>{{ worded(sentence, lang) }}{{ stop }}</li>{% endfor %}</ul>
{% if report.joint %}
<h2>{{ w.together }}</h2>
<div class="wide"><table><tr><th>{{ w.model }}</th><th>{{ w.auc_people if report.groups_by else w.auc_clips }}</th><th></th></tr>
{% for result in report.joint %}<tr{% if result.found %} class="found"{% endif %}><td>{{ worded(result.model, lang) }}</td><td class="number">{{ result.auc }}</td><td>{{ bar(result.auc) }}</td></tr>{% endfor %}
</table></div>
{% endif %}
{% if report.facts %}
<h2>{{ w.alone }}</h2>
<p class="soft">{{ w.alone_help | format(report.facts | length) }}</p>
<div class="wide"><table><tr><th>{{ w.fact }}</th><th>AUC</th><th></th><th>p</th><th class="real">{{ sides[0] }}</th><th class="fake">{{ sides[1] }}</th><th></th><th>{{ w.remedy }}</th></tr>
{% for fact in report.facts %}<tr{% if fact.found %} class="found"{% endif %}>
<td><code>{{ fact.name }}</code></td><td class="number">{{ fact.auc }}</td><td>{{ bar(fact.auc) }}</td><td class="number">{{ "%.3f" | format(fact.p_value) }}</td>
<td>{{ level(fact, fact.spreads[0]) }}</td><td>{{ level(fact, fact.spreads[1]) }}</td><td>{{ ranges(fact) }}</td><td>{{ fact.remedy }}</td></tr>
{% endfor %}</table></div>
{% endif %}
{% for balance in report.balances %}
<h2>{{ w.classes_by | format(balance.by) }}</h2>
<p>{{ w.one_class | format(balance.num_one_class, balance.num_values, "%.0f" | format(100 * balance.share_of_clips)) }}</p>
<div class="wide"><table><tr><th>{{ balance.by }}</th><th>{{ w.real }}</th><th>{{ w.fake }}</th></tr>
{% for value, real, fake in balance.largest %}<tr><td>{{ value }}</td><td class="number">{{ real }}</td><td class="number">{{ fake }}</td></tr>{% endfor %}</table></div>
{% endfor %}
{% if report.copies %}
<h2>{{ w.copies }}</h2>
<div class="wide"><table><tr><th>{{ w.sense }}</th><th>{{ w.pairs }}</th><th>{{ w.across_splits }}</th><th>{{ w.across_classes }}</th><th>{{ w.example }}</th></tr>
{% for copies in report.copies %}<tr><td>{{ w[copies.sense] }}</td><td class="number">{{ copies.num_pairs }}</td><td class="number">{{ copies.across_splits }}</td><td class="number">{{ copies.across_classes }}</td>
<td>{% for first, second in copies.examples[:3] %}{{ first }} · {{ second }}<br>{% endfor %}</td></tr>{% endfor %}</table></div>
{% endif %}
{% if report.failures %}
<h2>{{ w.unreadable }}</h2>
<div class="wide"><table>{% for name, reason in report.failures[:50] %}<tr><td>{{ name }}</td><td>{{ worded(reason, lang) }}</td></tr>{% endfor %}</table></div>
{% endif %}
<footer>{{ w.made }}</footer>
{% endblock %}
"""
# What the page says by itself; what was found is in the report's sentences.
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Audit of %s",
        "differs": "How %s differs from %s",
        "leaks": "What gives the label away in %s",
        "counted": "%d %s, %d %s clips",
        "kept_together": ", kept together by %s",
        "not_read": "; %d could not be read",
        "first": "None of these facts is forgery; what they tell, a net learns first.",
        "together": "All facts together",
        "model": "model",
        "auc_people": "AUC on people it was not fitted on",
        "auc_clips": "AUC on clips it was not fitted on",
        "alone": "Each fact alone",
        "alone_help": "AUC in its better direction with its 95 %% interval; p for the most outstanding of %d facts under shuffled labels. Ranges: 5th to 95th percentile, median. Shaded: better than chance.",
        "fact": "fact",
        "remedy": "remedy",
        "classes_by": "Classes by %s",
        "one_class": "%d of %d values hold one class only (%s %% of the clips). The largest:",
        "real": "real",
        "fake": "fake",
        "copies": "Near-copies",
        "sense": "sense",
        "pairs": "pairs",
        "across_splits": "across splits",
        "across_classes": "real with fake",
        "example": "for example",
        "sound": "sound",
        "picture": "picture",
        "unreadable": "Could not be read",
        "made": "Written by ffdv.",
    },
    "zh": {
        "title": "%s 的捷径审查",
        "differs": "%s 与 %s 有何不同",
        "leaks": "%s 中有什么泄露了标签",
        "counted": "%d 段%s、%d 段%s",
        "kept_together": "，按 %s 归并",
        "not_read": "；%d 段无法读取",
        "first": "这些事实都不是伪造本身；它们能说明的，网络会最先学到。",
        "together": "全部事实合在一起",
        "model": "模型",
        "auc_people": "在未参与拟合的人物上的 AUC",
        "auc_clips": "在未参与拟合的片段上的 AUC",
        "alone": "单项事实",
        "alone_help": "AUC 取较好的方向，附 95 %% 置信区间；p 为标签打乱后 %d 项事实中最突出者的概率。范围：第 5 至第 95 百分位，圆点为中位数。有底色：好于随机。",
        "fact": "事实",
        "remedy": "对策",
        "classes_by": "按 %s 看两类的分布",
        "one_class": "%d / %d 个取值只含一类（占片段的 %s %%）。最大的几个：",
        "real": "真实",
        "fake": "伪造",
        "copies": "几乎相同的片段",
        "sense": "声音或画面",
        "pairs": "对数",
        "across_splits": "跨划分",
        "across_classes": "一真一假",
        "example": "例如",
        "sound": "声音",
        "picture": "画面",
        "unreadable": "无法读取",
        "made": "由 ffdv 生成。",
    },
}
BAR = """<svg width="90" height="14" viewBox="0 0 90 14" role="img" aria-label="{{ auc }}">
<line x1="5" y1="1" x2="5" y2="13" stroke="var(--soft)"/><line x1="5" y1="7" x2="85" y2="7" stroke="var(--line)"/>
<line x1="{{ low }}" y1="7" x2="{{ high }}" y2="7" stroke="var(--ink)" stroke-width="3"/><circle cx="{{ value }}" cy="7" r="4" fill="var(--fake)"/></svg>"""
RANGES = """<svg width="120" height="22" viewBox="0 0 120 22" aria-hidden="true">{% for low, middle, high, y, colour in rows %}
<line x1="{{ low }}" y1="{{ y }}" x2="{{ high }}" y2="{{ y }}" stroke="var(--{{ colour }})" stroke-width="2"/><circle cx="{{ middle }}" cy="{{ y }}" r="4" fill="var(--{{ colour }})"/>{% endfor %}</svg>"""


def write_pages(report: AuditReport, out: Path, *, lang: str = "en") -> None:
    """Write audit.html, audit.json and audit.png into the folder `out`, each whole or not at all; lang: of the page.

    Raises RecipeError for a language that there is not.
    """
    page = as_html(report, lang=lang)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "audit.html", page.encode())
    write_atomically(out / "audit.json", (report.to_json() + "\n").encode())
    write_atomically(out / "audit.png", as_png(report))


def as_html(report: AuditReport, *, lang: str = "en") -> str:
    """One self-contained page: no script, no other file, light and dark; whatever names hold is text in it."""
    spoken = language(lang)
    words = map(side_word, report.classes)
    sides = [worded(word, lang) if isinstance(word, Sentence) else word for word in words]
    return render(
        PAGE,
        lang=lang,
        w=WORDS[spoken],
        stop=STOPS[spoken],
        sides=sides,
        worded=worded,
        report=report,
        bar=_bar,
        level=partial(_level, lang=lang),
        ranges=_ranges,
    )


def as_png(report: AuditReport) -> bytes:
    """The strongest facts with their intervals, and all together, as a picture. Raises ExtraMissing without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ExtraMissing("the audit's picture (matplotlib)", "train") from error
    import io

    rows = [(f"all together: {result.model}", result.auc, result.found) for result in report.joint]
    rows += [(_plain(fact.name), fact.auc, fact.found) for fact in report.facts[:MOST_DRAWN]]
    figure = Figure(figsize=(8.0, 1.2 + 0.28 * max(1, len(rows))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (_, auc, found) in enumerate(rows):
        colour = FAKE_COLOUR if found else SOFT_COLOUR
        axes.plot([auc.low, auc.high], [place, place], color=colour, linewidth=2)
        axes.plot([auc.value], [place], "o", color=colour)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8, parse_math=False)
    axes.set_xlim(0.48, 1.02)
    axes.invert_yaxis()
    axes.axvline(0.5, color=SOFT_COLOUR, linewidth=1)
    axes.set_xlabel("AUC of the fact alone, better direction, 95 % interval; orange: better than chance")
    axes.set_title(" against ".join(report.classes), fontsize=10, parse_math=False)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=120)
    return target.getvalue()


def _bar(auc: Any) -> Any:
    """An AUC from 0.5 to 1 with its interval."""
    low, value, high = (round(5 + 160 * (number - 0.5), 1) for number in (auc.low, auc.value, auc.high))
    return drawn(BAR, auc=str(auc), low=low, value=value, high=high)


def _ranges(fact: Fact) -> Any:
    """Both classes' 5th to 95th percentile on one scale; nothing for a yes or no, which its share says already."""
    known = [spread for spread in fact.spreads if spread.num_known]
    least, most = min(spread.low for spread in known), max(spread.high for spread in known)
    if fact.is_word or least == most:
        return ""
    rows = []
    for spread, y, colour in zip(fact.spreads, (6, 16), ("real", "fake"), strict=True):
        if spread.num_known:
            places = (
                5 + 110 * (number - least) / (most - least) for number in (spread.low, spread.median, spread.high)
            )
            rows.append((*(round(place, 1) for place in places), y, colour))
    return drawn(RANGES, rows=rows)


def _level(fact: Fact, spread: Spread, *, lang: str) -> str:
    if not spread.num_known:
        return ""
    return f"{100 * spread.mean:.0f} %" if fact.is_word else worded(with_unit(fact.name, spread.median), lang)


def _plain(text: str) -> str:
    """A name on one short line."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= 48 else shown[:47] + "…"
