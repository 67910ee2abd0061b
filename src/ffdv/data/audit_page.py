"""An audit for people and machines: audit.html (self-contained, no scripts), audit.json and audit.png.

It lies in data/ beside the audit, because it draws that one value and nothing else; detection and training need none of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffdv.data.audit_report import AuditReport, Fact, Spread
from ffdv.data.audit_words import with_unit
from ffdv.data.shards import write_atomically
from ffdv.errors import ExtraMissing
from ffdv.page import FAKE_COLOUR, SOFT_COLOUR, drawn, render

# The picture shows the strongest facts; the page has them all.
MOST_DRAWN = 20
PAGE = """{% extends "page" %}
{% block title %}Audit of {{ report.data }}{% endblock %}
{% block body %}
<h1>{% if report.against %}How {{ report.data }} differs from {{ report.against }}{% else %}What gives the label away in {{ report.data }}{% endif %}</h1>
<p>{{ report.counts[0] }} {{ report.classes[0] }}, {{ report.counts[1] }} {{ report.classes[1] }} clips
{%- if report.groups_by %}, kept together by {{ report.groups_by }}{% endif %}
{%- if report.failures %}; {{ report.failures | length }} could not be read{% endif %}.
None of these facts is forgery; what they tell, a net learns first.</p>
<ul>{% for sentence in report.sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% if report.joint %}
<h2>All facts together</h2>
<div class="wide"><table><tr><th>model</th><th>AUC on {{ "people" if report.groups_by else "clips" }} it was not fitted on</th><th></th></tr>
{% for result in report.joint %}<tr{% if result.found %} class="found"{% endif %}><td>{{ result.model }}</td><td class="number">{{ result.auc }}</td><td>{{ bar(result.auc) }}</td></tr>{% endfor %}
</table></div>
{% endif %}
{% if report.facts %}
<h2>Each fact alone</h2>
<p class="soft">AUC in its better direction with its 95 % interval; p for the most outstanding of {{ report.facts | length }} facts under shuffled labels.
Ranges: 5th to 95th percentile, median. Shaded: better than chance.</p>
<div class="wide"><table><tr><th>fact</th><th>AUC</th><th></th><th>p</th><th class="real">{{ report.classes[0] }}</th><th class="fake">{{ report.classes[1] }}</th><th></th><th>remedy</th></tr>
{% for fact in report.facts %}<tr{% if fact.found %} class="found"{% endif %}>
<td><code>{{ fact.name }}</code></td><td class="number">{{ fact.auc }}</td><td>{{ bar(fact.auc) }}</td><td class="number">{{ "%.3f" | format(fact.p_value) }}</td>
<td>{{ level(fact, fact.spreads[0]) }}</td><td>{{ level(fact, fact.spreads[1]) }}</td><td>{{ ranges(fact) }}</td><td>{{ fact.remedy }}</td></tr>
{% endfor %}</table></div>
{% endif %}
{% for balance in report.balances %}
<h2>Classes by {{ balance.by }}</h2>
<p>{{ balance.num_one_class }} of {{ balance.num_values }} values hold one class only ({{ "%.0f" | format(100 * balance.share_of_clips) }} % of the clips). The largest:</p>
<div class="wide"><table><tr><th>{{ balance.by }}</th><th>real</th><th>fake</th></tr>
{% for value, real, fake in balance.largest %}<tr><td>{{ value }}</td><td class="number">{{ real }}</td><td class="number">{{ fake }}</td></tr>{% endfor %}</table></div>
{% endfor %}
{% if report.copies %}
<h2>Near-copies</h2>
<div class="wide"><table><tr><th>sense</th><th>pairs</th><th>across splits</th><th>real with fake</th><th>for example</th></tr>
{% for copies in report.copies %}<tr><td>{{ copies.sense }}</td><td class="number">{{ copies.num_pairs }}</td><td class="number">{{ copies.across_splits }}</td><td class="number">{{ copies.across_classes }}</td>
<td>{% for first, second in copies.examples[:3] %}{{ first }} · {{ second }}<br>{% endfor %}</td></tr>{% endfor %}</table></div>
{% endif %}
{% if report.failures %}
<h2>Could not be read</h2>
<div class="wide"><table>{% for name, reason in report.failures[:50] %}<tr><td>{{ name }}</td><td>{{ reason }}</td></tr>{% endfor %}</table></div>
{% endif %}
<footer>Written by ffdv.</footer>
{% endblock %}
"""
BAR = """<svg width="90" height="14" viewBox="0 0 90 14" role="img" aria-label="{{ auc }}">
<line x1="5" y1="1" x2="5" y2="13" stroke="var(--soft)"/><line x1="5" y1="7" x2="85" y2="7" stroke="var(--line)"/>
<line x1="{{ low }}" y1="7" x2="{{ high }}" y2="7" stroke="var(--ink)" stroke-width="3"/><circle cx="{{ value }}" cy="7" r="4" fill="var(--fake)"/></svg>"""
RANGES = """<svg width="120" height="22" viewBox="0 0 120 22" aria-hidden="true">{% for low, middle, high, y, colour in rows %}
<line x1="{{ low }}" y1="{{ y }}" x2="{{ high }}" y2="{{ y }}" stroke="var(--{{ colour }})" stroke-width="2"/><circle cx="{{ middle }}" cy="{{ y }}" r="4" fill="var(--{{ colour }})"/>{% endfor %}</svg>"""


def write_pages(report: AuditReport, out: Path) -> None:
    """Write audit.html, audit.json and audit.png into the folder `out`, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "audit.html", as_html(report).encode())
    write_atomically(out / "audit.json", (report.to_json() + "\n").encode())
    write_atomically(out / "audit.png", as_png(report))


def as_html(report: AuditReport) -> str:
    """One self-contained page: no script, no other file, light and dark; whatever names hold is text in it."""
    return render(PAGE, report=report, bar=_bar, level=_level, ranges=_ranges)


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


def _level(fact: Fact, spread: Spread) -> str:
    if not spread.num_known:
        return ""
    return f"{spread.mean:.0%}" if fact.is_word else with_unit(fact.name, spread.median)


def _plain(text: str) -> str:
    """A name on one short line."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= 48 else shown[:47] + "…"
