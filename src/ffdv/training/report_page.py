"""The evaluation report as one self-contained page; see training/report.py for what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ffdv.charts import Axis, Curve, curve_chart, interval_bar, percent_ticks, two_histograms
from ffdv.data.audit_words import shortcut_of
from ffdv.metrics.ranking import lowest_fpr, precision_recall_curve, roc_curve
from ffdv.metrics.uncertainty import FEWEST_GROUPS
from ffdv.page import render
from ffdv.sentences import worded
from ffdv.training.report import EVEN, ReportData
from ffdv.training.report_words import measure_name, term, words

MOST_ROWS = 40  # of a table by group; the JSON has them all
_WHOLE = percent_ticks(0.0, 0.25, 0.5, 0.75, 1.0)
_SMALL = percent_ticks(0.001, 0.01, 0.1, 1.0)
_DEVIATES = percent_ticks(0.01, 0.05, 0.2, 0.5, 0.8, 0.95)

PAGE = """{% extends "page" %}
{% block title %}{{ w.title | format(model) }}{% endblock %}
{% block style %}
.mistakes { grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); } .mistakes img.wide { width: 100%; height: 7rem; border-radius: .3rem; image-rendering: auto; }
.mistakes video { width: 100%; max-height: 14rem; } .faces { display: flex; gap: .3rem; margin-bottom: .5rem; } .faces img { width: 22%; border-radius: .3rem; }
.mistakes .name { font-weight: 600; font-size: .9rem; margin: 0; } .mistakes p { margin: .2rem 0 .5rem; } .cards { grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.5rem), 1fr)); }
.cards .card { padding: .7rem .9rem; } table.bars td { vertical-align: middle; } td.name { white-space: nowrap; } table.bars svg { max-width: none; } table.bars td:first-child { overflow-wrap: anywhere; min-width: 7.5rem; }
{% endblock %}
{% block body %}
<h1>{{ w.title | format(model) }}</h1>
<p>{{ w.of | format(data_name, worded(table.part, lang), overall.num_real, overall.num_fake) }}</p>
<div class="grid cards">
{% for name, value, low, high, means in cards %}<div class="card"><div class="small soft">{{ name }}</div><div class="big">{{ value }}</div>{% if low %}<div class="small">[{{ low }}, {{ high }}]</div>{% endif %}<div class="small soft">{{ means }}</div></div>
{% endfor %}</div>
{% if overall.numbers.auc.few %}<p class="soft small">{{ few }}</p>{% endif %}
{% if table.warnings %}<h2>{{ w.read_first }}</h2>{% for text in table.warnings %}<p class="note">{{ worded(text, lang) }}</p>{% endfor %}{% endif %}

<h2>{{ w.shortcuts }}</h2>
<p>{{ w.shortcuts_text }}</p>
{% if shortcuts | length > 1 %}
<div class="wide"><table class="bars">{% for name, auc, bar in shortcuts %}<tr><td>{{ name }}</td><td class="number">{{ auc }}</td><td>{{ bar }}</td></tr>{% endfor %}</table></div>
<p>{{ lead }}</p>
{% else %}<p>{{ w.shortcuts_unknown }}</p>{% endif %}

<h2>{{ w.curves }}</h2>
<div class="grid">
{% for heading, text, chart in charts %}<figure><h3>{{ heading }}</h3>{{ chart }}<figcaption>{{ text }}</figcaption></figure>
{% endfor %}</div>

<h2>{{ w.thresholds }}</h2>
<div class="wide"><table><tr><th class="number">{{ w.threshold }}</th><th>{{ w.meant_for }}</th><th class="number">{{ w.false_alarms }}</th><th class="number">{{ w.hits }}</th></tr>
{% for row in thresholds %}<tr><td class="number">{{ "%.4f" | format(row.value) }}</td><td class="name">{{ w.even if row.meant_for is none else w.wanted | format(100 * row.meant_for) }}</td><td class="number">{{ percent(row.false_alarms) }}</td><td class="number">{{ percent(row.hits) }}</td></tr>
{% endfor %}</table></div>
{% for text in band %}<p>{{ text }}</p>{% endfor %}

{% if neutralised %}
<h2>{{ w.neutralised }}</h2>
<p class="soft">{{ w.neutralised_text }} {{ steps }}</p>
{% for text in table.neutralised.warnings %}<p class="note">{{ worded(text, lang) }}</p>{% endfor %}
<div class="wide"><table><tr><th>{{ w.number }}</th><th class="number">{{ w.raw }}</th><th class="number">{{ w.neutral }}</th></tr>
{% for name, raw, neutral in neutralised %}<tr><td>{{ name }}</td><td class="number">{{ raw }}</td><td class="number">{{ neutral }}</td></tr>
{% endfor %}</table></div>
{% endif %}

{% if table.localisation %}
<h2>{{ w.localised }}</h2>
<p class="soft">{{ w.localised_text | format(table.localisation.window_seconds, table.localisation.num_fake, table.localisation.num_segments, table.localisation.num_real) }}</p>
<div class="wide"><table><tr><th>{{ w.number }}</th><th class="number">{{ w.value }}</th></tr>
{% for name, number in table.localisation.numbers.items() %}<tr><td>{{ measure(name, lang) }}</td><td class="number">{{ number }}</td></tr>
{% endfor %}</table></div>
{% endif %}

{% for heading, text, column, rows, total in groups %}
<h2>{{ heading }}</h2>
<p class="soft">{{ text }}</p>
<div class="wide"><table class="bars"><tr><th>{{ column }}</th><th class="number">AUC</th><th></th><th class="number">{{ w.fakes }}</th><th class="number">{{ w.reals }}</th><th>{{ w.against }}</th></tr>
{% for row, auc, bar in rows %}<tr><td>{{ row.name }}</td><td class="number">{{ auc }}</td><td>{{ bar }}</td><td class="number">{{ row.num_fake }}</td><td class="number">{{ row.num_real }}</td><td>{{ against(row.reals) }}</td></tr>
{% endfor %}</table></div>
{% if has_few %}<p class="soft small">{{ few }}</p>{% endif %}
{% if total > rows | length %}<p class="soft small">{{ w.worst_cut | format(rows | length, total) }}</p>{% endif %}
{% endfor %}

{% if sources %}
<h2>{{ w.by_source }}</h2>
<p class="soft">{{ w.by_source_text }}</p>
<div class="wide"><table class="bars"><tr><th>{{ w.source }}</th><th class="number">{{ w.reals }}</th><th class="number">{{ w.false_alarms }}</th><th></th><th class="number">{{ w.fakes }}</th><th class="number">{{ w.hits }}</th><th></th></tr>
{% for row, alarms, hits in sources %}<tr><td>{{ row.name }}</td><td class="number">{{ row.num_real or "" }}</td><td class="number">{{ alarms[0] }}</td><td>{{ alarms[1] }}</td><td class="number">{{ row.num_fake or "" }}</td><td class="number">{{ hits[0] }}</td><td>{{ hits[1] }}</td></tr>
{% endfor %}</table></div>
{% if num_sources > sources | length %}<p class="soft small">{{ w.worst_cut | format(sources | length, num_sources) }}</p>{% endif %}
{% endif %}

<h2>{{ w.mistakes }}</h2>
<p class="soft">{{ w.mistakes_text }} {{ w.player_note }}</p>
{% for heading, mistakes, kind in mistakes %}
<h3>{{ heading }}</h3>
{% if not mistakes %}<p>{{ w.no_mistakes }}</p>{% endif %}
<div class="grid mistakes">
{% for one in mistakes %}<div class="card"><p class="name">{{ one.name }}</p><p><span class="tag {{ kind }}">{{ w.score }} {{ "%.3f" | format(one.score) }}</span>
<span class="small soft">{% for key, value in one.groups.items() if key in shown_groups and value %}{{ key }} {{ value }}{% if not loop.last %} · {% endif %}{% endfor %}</span></p>
{% if one.film %}<video controls preload="metadata" src="{{ one.film }}"></video>{% endif %}
{% if one.faces %}<div class="faces">{% for face in one.faces %}<img src="{{ face }}" alt="">{% endfor %}</div>{% endif %}
{% if one.sound %}<audio controls preload="none" src="{{ one.sound }}"></audio>{% endif %}
{% if one.spectrogram %}<figure><img class="wide" src="{{ one.spectrogram }}" alt="{{ w.spectrogram | format(one.top_hz / 1000, one.seconds) }}"><figcaption>{{ w.spectrogram | format(one.top_hz / 1000, one.seconds) }}</figcaption></figure>
{% elif not one.film %}<p class="small soft">{{ w.not_at_hand }}</p>{% endif %}
</div>
{% endfor %}</div>
{% endfor %}

<h2>{{ w.numbers }}</h2>
<table><tr><th>{{ w.number }}</th><th class="number">{{ w.value }}</th><th class="number">{{ w.interval }}</th></tr>
{% for name, number in overall.numbers.items() %}<tr><td>{{ measure(name, lang) }}</td><td class="number">{{ "%.4f" | format(number.value) }}</td><td class="number">[{{ "%.4f" | format(number.low) }}, {{ "%.4f" | format(number.high) }}]</td></tr>
{% endfor %}</table>

<h2>{{ w.how }}</h2>
<ul><li>{{ w.how_intervals | format(table.interval_groups, num_groups) if table.interval_groups else w.how_clips }}</li><li>{{ w.how_unseen }}</li>
<li>{{ w.how_model | format(*facts) }}</li></ul>
<footer>{{ w.footer }}</footer>
{% endblock %}
"""


def as_html(data: ReportData, *, lang: str = "en") -> str:
    """The page; light, dark and printed, without a script, whatever names hold is text in it."""
    w = words(lang)
    table, shown, same = data.table, data.sources[:MOST_ROWS], data.table.neutralised
    return render(
        PAGE,
        lang=lang,
        w=w,
        worded=worded,
        table=table,
        overall=table.overall,
        model=Path(table.model).name or table.model,
        data_name=Path(table.data).name or table.data,
        cards=_cards(data, w),
        shortcuts=_shortcuts(data, w, lang),
        lead=w[_lead(data)],
        charts=_charts(data, w),
        thresholds=data.thresholds,
        percent=_percent,
        against=lambda reals: w["all_reals"] if reals == "all" else w["same"] % reals.removeprefix("same "),
        neutralised=_neutralised(data, w, lang),
        groups=_groups(data, w),
        sources=[(row, _share(row.false_alarms, "real"), _share(row.hits, "fake")) for row in shown],
        num_sources=len(data.sources),
        mistakes=[(w["called_fake"], data.called_fake, "real"), (w["called_real"], data.called_real, "fake")],
        shown_groups=("method", "generator", "identity", "speaker", "source_repo", "source", "language"),
        measure=measure_name,
        steps="" if same is None else _bracketed([term(step, lang) for step in same.steps], lang),
        band=band_sentences(data, w),
        few=w["few"] % FEWEST_GROUPS,
        has_few=any(row.numbers["auc"].few for rows in data.by_group.values() for row in rows if row.numbers),
        num_groups=data.num_groups,
        facts=facts_of(data, lang),
    )


def _cards(data: ReportData, w: Mapping[str, str]) -> list[tuple[str, str, str, str, str]]:
    """The numbers to see first: name, value, interval, what it means."""
    numbers = data.table.overall.numbers
    cards = [
        (w["auc"], numbers["auc"], "{:.3f}", w["auc_means"]),
        (w["eer"], numbers["eer"], "{:.1%}", w["eer_means"]),
    ]
    cards += [
        (w["tpr"] % rate, numbers[name], "{:.1%}", "")
        for name, rate in (("tpr_at_fpr", 0.1), ("tpr_at_fpr_0.01", 1.0), ("tpr_at_fpr_0.05", 5.0))
        if name in numbers
    ][:1]
    cards.append((w["ece"], numbers["ece"], "{:.3f}", w["ece_means"]))
    shown = [
        (name + " *" * number.few, *(form.format(getattr(number, part)) for part in ("value", "low", "high")), means)
        for name, number, form, means in cards
    ]
    return [*shown, (w["coverage"], f"{data.confidence.coverage_at_risk:.0%}", "", "", w["coverage_means"])]  # type: ignore[list-item]


def band_sentences(data: ReportData, w: Mapping[str, str]) -> list[str]:
    """What the stored "cannot tell" band does on these clips, in sentences; empty where the run holds none."""
    band = data.confidence.band
    if band is None:
        return []
    if band.everything:
        return [w["band_everything"]]
    shares = (f"{share:.1%}" for share in (band.decided, band.false_alarms, band.misses, *band.wanted))
    told = [w["band"] % (band.low, band.high, *shares)]
    return [*told, w["band_unusual"] % f"{band.unusual:.0%}"] if band.unusual else told


def _bracketed(words: Sequence[str], lang: str) -> str:
    return f"({', '.join(words)})" if lang == "en" else f"（{'、'.join(words)}）"


def _shortcuts(data: ReportData, w: Mapping[str, str], lang: str) -> list[tuple[str, str, Any]]:
    """The net and the shortcuts, each with its AUC on one scale."""
    net, audit = data.table.overall.numbers["auc"], data.table.audit
    rows = [(w["net"], str(net), interval_bar(net.value, net.low, net.high, mark=0.5, width=220))]
    singles = (
        (w["best_shortcut"] % (audit.best_probe, worded(shortcut_of(audit.best_probe).meaning, lang)), audit.best_auc),
        (w["all_shortcuts"] % audit.num_probes, audit.all_auc),
    )
    for name, auc in singles:
        if auc is not None:
            rows.append((name, f"{auc:.3f}", interval_bar(auc, auc, auc, mark=0.5, width=220, colour="soft")))
    return rows


def _lead(data: ReportData) -> str:
    """Which sentence says how the net stands to the shortcuts."""
    audit, net = data.table.audit, data.table.overall.numbers["auc"]
    best = max(audit.best_auc or 0.0, audit.all_auc or 0.0)
    if best >= net.value - 0.01:
        if audit.undecided:
            return "undecided"
        return "beaten" if best > audit.luck else "luck"
    return "ahead" if net.low > best else "perhaps_ahead"


def _charts(data: ReportData, w: Mapping[str, str]) -> list[tuple[str, str, Any]]:
    """Every curve: heading, what it says, the drawing."""
    labels, logits, scores = data.clips.labels, data.clips.logits, data.clips.scores
    roc, pr = roc_curve(labels, logits), precision_recall_curve(labels, logits)
    reliable, before = data.confidence.reliability_after, data.confidence.reliability_before
    prior = float(labels.mean())
    shares = {
        name: Axis(w[name], ticks=_WHOLE)
        for name in ("false_alarms", "hits", "recall", "precision", "share_fake", "coverage_axis", "risk_axis")
    }
    low = Axis(w["false_alarms"], 0.001, 1.0, _SMALL, "log")
    deviate = {name: Axis(w[name], 0.004, 0.98, _DEVIATES, "probit") for name in ("false_alarms", "misses")}
    guess = Curve([0, 1], [0, 1], "soft", "4 3")
    spread = np.geomspace(0.001, 1.0, 60)
    fewest = lowest_fpr(int((labels == 0).sum()))
    sizes = 2.0 + 5.0 * np.sqrt(np.array(reliable.count) / max(reliable.count))
    band = data.confidence.band
    edges = () if band is None or band.everything else (band.low, band.high)
    return [
        (w["roc"], w["roc_text"], curve_chart([guess, Curve(roc.false_alarms, roc.hits)], x=shares["false_alarms"], y=shares["hits"], title=w["roc"])),
        (
            w["roc_low"],
            w["roc_low_text"],
            curve_chart(
                [Curve(spread, spread, "soft", "4 3"), Curve([fewest, fewest], [0, 1], "soft", "1 3"), Curve(roc.false_alarms, roc.hits)],
                x=low, y=shares["hits"], title=w["roc_low"],
            ),
        ),
        (w["det"], w["det_text"], curve_chart([Curve([0.004, 0.98], [0.004, 0.98], "soft", "4 3"), Curve(roc.false_alarms, roc.misses)], x=deviate["false_alarms"], y=deviate["misses"], title=w["det"])),
        (w["pr"], w["pr_text"], curve_chart([Curve([0, 1], [prior, prior], "soft", "4 3"), Curve(pr.recall, pr.precision)], x=shares["recall"], y=shares["precision"], title=w["pr"])),
        (
            w["reliability"],
            w["reliability_text"] % (data.confidence.ece_before, data.confidence.ece_after),
            curve_chart(
                [guess,
                    Curve(before.mean_score, before.fake_share, "unsure", "2 3"), Curve(reliable.mean_score, reliable.fake_share, low=reliable.low, high=reliable.high, sizes=sizes)],
                x=Axis(w["score"]), y=shares["share_fake"], title=w["reliability"],
            ),
        ),
        (
            w["histogram"],
            w["histogram_text"] % (w["histogram_band"] if edges else ""),
            two_histograms(scores[labels == 0], scores[labels == 1], labels=(w["score"], w["real"], w["fake"]), marks=(EVEN, *edges)),
        ),
        (
            w["risk"],
            w["risk_text"] % data.confidence.risk_area,
            curve_chart([Curve([0, 1], [0.05, 0.05], "soft", "4 3"), Curve(data.confidence.coverage, data.confidence.risk)], x=shares["coverage_axis"], y=Axis(w["risk_axis"], 0.0, 0.5, percent_ticks(0.0, 0.05, 0.25, 0.5)), title=w["risk"]),
        ),
    ]  # fmt: skip


def _neutralised(data: ReportData, w: Mapping[str, str], lang: str) -> list[tuple[str, str, str]]:
    """Each number raw and neutralised, the shortcuts below; empty where it was not asked for."""
    same = data.table.neutralised
    if same is None or not same.rows:
        return []
    raw, neutral = data.table.overall.numbers, same.rows[0].numbers
    rows = [(measure_name(name, lang), str(raw[name]), str(neutral[name])) for name in raw if name in neutral]
    audits = (data.table.audit, same.audit)
    if all(audit.all_auc is not None for audit in audits):
        shown = [f"{audit.all_auc:.3f}" for audit in audits]
        rows.append((w["all_shortcuts"] % data.table.audit.num_probes, *shown))  # type: ignore[arg-type]
    return rows


def _groups(data: ReportData, w: Mapping[str, str]) -> list[tuple[str, str, str, list[tuple[Any, str, Any]], int]]:
    """A table for each group column: heading, what it says, the column, its worst rows, and how many there are."""
    tables = []
    for by, rows in data.by_group.items():
        known = [row for row in rows if row.numbers]
        if not known:
            continue
        shown = [
            (row, str(row.numbers["auc"]) + " *" * row.numbers["auc"].few, _auc_bar(row)) for row in known[:MOST_ROWS]
        ]
        heading = w["by_method"] if by == "method" else w["by"] % by
        tables.append((heading, w["by_method_text"], w["method"] if by == "method" else by, shown, len(known)))
    return tables


def _auc_bar(row: Any) -> Any:
    auc = row.numbers["auc"]
    return interval_bar(auc.value, auc.low, auc.high, mark=0.5, width=170)


def _share(share: tuple[float, float, float] | None, kind: str) -> tuple[str, Any]:
    if share is None:
        return "", ""
    return f"{share[0]:.0%}", interval_bar(*share, width=110, colour="real" if kind == "real" else "fake")


def _percent(number: Any) -> str:
    return f"{number.value:.1%} [{number.low:.1%}, {number.high:.1%}]"


def facts_of(data: ReportData, lang: str = "en") -> tuple[str, str, str, str]:
    """Recipe, training data, its clips, version: from the checkpoint's header."""
    written, recipe = data.header.provenance, data.header.recipe
    trained = written.get("data")
    trained = trained if isinstance(trained, dict) else {}
    clips = trained.get("clips")
    counted = "?"
    if isinstance(clips, dict):
        counts = [
            f"{count} {part}" if lang == "en" else f"{term(part, lang)} {count} 个" for part, count in clips.items()
        ]
        counted = ", ".join(counts) if lang == "en" else "，".join(counts)
    return (
        str(recipe.get("name", "?")),
        Path(str(trained.get("name", "?"))).name,
        counted,
        str(written.get("ffdv", "?")),
    )
