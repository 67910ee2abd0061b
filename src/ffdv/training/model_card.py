"""A model card (Mitchell et al. 2019) in Markdown, from the numbers of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffdv.metrics.confidence import RISK
from ffdv.metrics.uncertainty import FEWEST_GROUPS
from ffdv.training.report import ReportData
from ffdv.training.report_page import band_sentences, facts_of
from ffdv.training.report_words import ENGLISH, NAMES

_WORST = 10


def as_markdown(data: ReportData) -> str:
    """The card. What a model is for and what it is not for is said whatever the numbers are."""
    recipe, trained, clips, version = facts_of(data)
    table, overall, audit = data.table, data.table.overall, data.table.audit
    about = str(data.header.recipe.get("about", "")).strip()
    lines = [
        f"# Model card: {_text(recipe)}",
        "",
        "## Model",
        f"- Recipe `{_text(recipe)}`{f': {_text(about)}' if about else ''}.",
        f"- Trained on {_text(trained)} ({clips}) with ffdv {version}; {_device(data)}.",
        f"- Input: {_input(data)}. Output: a score from 0 (real) to 1 (fake).",
        "- Licence: ffdv is Apache-2.0; the terms of the training data may bind the weights as well.",
        "",
        "## What it is for",
        ("To rank clips by how likely they are forged, as one hint among others for a person who decides. It is not for deciding "
        "about people without a person, for proof in court, or for clips unlike those below."),
        "",
        "## How well it does",
        f"On {_text(Path(table.data).name or table.data)}: {_text(table.part)}, {overall.num_real} real and {overall.num_fake} fake clips. {_intervals(data)}",
        "",
        "| measure | value | 95 % interval |",
        "|---|---|---|",
        *(f"| {NAMES.get(name, name)} | {number.value:.4f} | {number.low:.4f} to {number.high:.4f} |" for name, number in overall.numbers.items()),
        f"| coverage at {RISK:.0%} risk | {data.confidence.coverage_at_risk:.2f} | |",
        "",
        "| call fake above | meant for | false alarms | fakes found |",
        "|---|---|---|---|",
        *(
            f"| {row.value:.4f} | {'even odds' if row.meant_for is None else f'{100 * row.meant_for:g} % false alarms'} | "
            f"{row.false_alarms.value:.1%} ({row.false_alarms.low:.1%} to {row.false_alarms.high:.1%}) | "
            f"{row.hits.value:.1%} ({row.hits.low:.1%} to {row.hits.high:.1%}) |"
            for row in data.thresholds
        ),
        "",
        *_calibration_lines(data),
        *_neutralised_lines(data),
        *_localised_lines(data),
        "## What shortcuts reach on the same clips",
        f"{_text(audit.text[:1].upper() + audit.text[1:])}.",
        "",
        *_group_lines(data),
        *_warning_lines(table.warnings),
        "## What to be careful about",
        ("- Numbers hold for clips like these. On other sources, codecs, languages and forgeries they are lower, often by much; "
        "`ffdv stress` and `ffdv crossval` measure by how much."),
        "- Groups of people may be judged unequally: compare the rows above, and evaluate `--by` the groups that matter to you.",
        "- A clip below the threshold is not shown to be real.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _calibration_lines(data: ReportData) -> list[str]:
    """What calibration did, and what the stored "cannot tell" band does on these clips."""
    found = data.confidence
    told = [
        f"Calibration: ECE {found.ece_before:.3f} before, {found.ece_after:.3f} after; Brier {found.brier_before:.3f} before, {found.brier_after:.3f} after.",
        *band_sentences(data, ENGLISH),
    ]
    return [line for text in told for line in (text, "")]


def _neutralised_lines(data: ReportData) -> list[str]:
    """The overall numbers once more on neutralised clips, where they were asked for."""
    same = data.table.neutralised
    if same is None or not same.rows:
        return []
    numbers = same.rows[0].numbers
    lines = [
        f"## Neutralised: both classes through {', '.join(same.steps)}",
        "| measure | raw | neutralised |",
        "|---|---|---|",
    ]
    raw = data.table.overall.numbers
    return [
        *lines,
        *(f"| {NAMES.get(name, name)} | {raw[name]} | {numbers[name]} |" for name in raw if name in numbers),
        "",
        f"On the neutralised clips: {_text(same.audit.text)}.",
        "",
        *(f"- {_text(text)}" for text in same.warnings),
        *([""] if same.warnings else []),
    ]


def _localised_lines(data: ReportData) -> list[str]:
    """How well forged seconds are found, where they are known."""
    found = data.table.localisation
    if found is None:
        return []
    return [
        f"## Where clips are forged: windows of {found.window_seconds:.1f} s, {found.num_fake} fakes, {found.num_real} reals",
        "| measure | value |",
        "|---|---|",
        *(f"| {NAMES.get(name, name)} | {number} |" for name, number in found.numbers.items()),
        "",
    ]


def _group_lines(data: ReportData) -> list[str]:
    """The worst groups of each column."""
    lines: list[str] = []
    for by, rows in data.by_group.items():
        known = [row for row in rows if row.numbers]
        if not known:
            continue
        lines += [f"## By {_text(by)}, worst first" + (f" ({_WORST} of {len(known)})" if len(known) > _WORST else "")]
        lines += ["| " + _text(by) + " | fakes | reals | against | AUC |", "|---|---|---|---|---|"]
        lines += [
            f"| {_text(row.name)} | {row.num_fake} | {row.num_real} | {row.reals} | {row.numbers['auc']}{' *' * row.numbers['auc'].few} |"
            for row in known[:_WORST]
        ]
        if any(row.numbers["auc"].few for row in known[:_WORST]):
            lines += ["", "\\" + ENGLISH["few"] % FEWEST_GROUPS]
        lines.append("")
    return lines


def _warning_lines(warnings: Sequence[str]) -> list[str]:
    return ["## Read before believing", *(f"- {_text(text)}" for text in warnings), ""] if warnings else []


def _intervals(data: ReportData) -> str:
    by = data.table.interval_groups
    return (
        f"Intervals: bootstrap over {data.num_groups} values of {by}."
        if by
        else "Intervals: bootstrap over single clips."
    )


def _input(data: ReportData) -> str:
    """What a net of this kind is given."""
    recipe = data.header.recipe
    kind = str(recipe.get("kind", "sound"))
    front_end, loader = recipe.get("front_end"), recipe.get("loader")
    rate = front_end.get("sample_rate") if isinstance(front_end, dict) else None
    window = loader.get("window_seconds") if isinstance(loader, dict) else None
    windows = f", in windows of {window:g} s" if isinstance(window, (int, float)) else ""
    sound = f"mono sound at {rate} Hz{windows}"
    return {
        "sound": sound if rate else "sound",
        "faces": "crops of the faces in a clip",
        "motion": "how the picture of a clip moves",
        "sync": f"movement of the mouth beside {sound}",
        "joint": f"crops of the face beside {sound}",
    }.get(kind, "the opinions of other nets on sound and picture")


def _device(data: ReportData) -> str:
    written = data.header.provenance
    return f"on {written.get('device', 'an unknown device')}, {str(written.get('written', ''))[:10]}"


def _text(value: object) -> str:
    """A name as Markdown text: no line breaks, no markup of its own."""
    plain = "".join(character if character.isprintable() else "?" for character in str(value))
    for mark in "\\`*_[]<>|":
        plain = plain.replace(mark, "\\" + mark)
    return plain
