from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffdv.data import tables
from ffdv.data.scores import read_scores, write_scores
from ffdv.data.tables import guard_formula, unguard_formula
from ffdv.detect.submission import submit
from ffdv.errors import SubmissionError
from ffdv.records import Score

TEMPLATE = "video_name,y_pred\nb.mp4,\na.mp4,\nc.mp4,\n"


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "prediction.txt.csv"
    path.write_text(TEMPLATE)
    return path


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    failed = Score("b.mp4", None, status="failed", reason="no sound")
    return write_scores(tmp_path / "scores.csv", [Score("a.mp4", 0.25), failed, Score("x.mp4", 1.0)])


def test_a_submission_has_the_templates_order_and_every_row_filled(
    tmp_path: Path, template: Path, scores: Path
) -> None:
    summary = submit(scores=scores, template=template, out=tmp_path / "submit.csv")

    assert rows_of(summary.out) == [["video_name", "y_pred"], ["b.mp4", "0.5"], ["a.mp4", "0.25"], ["c.mp4", "0.5"]]
    assert (summary.num_rows, summary.num_scored, summary.num_unused) == (3, 1, 1)
    assert [(clip.name, clip.reason) for clip in summary.filled] == [
        ("b.mp4", "no sound"),
        ("c.mp4", "it is not in the score table"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "video_name,score\nb.mp4,\na.mp4,\n",
        "video_name,score\r\nb.mp4,0.7\r\na.mp4,nan\r\n",
        "\ufeffvideo_name,score\nb.mp4\n\na.mp4\n\n",
        "video_name,score\nb.mp4,\na.mp4,",
    ],
    ids=["empty values", "old values and CRLF", "BOM, no comma, blank lines", "no last newline"],
)
def test_templates_are_read_as_people_save_them(tmp_path: Path, scores: Path, text: str) -> None:
    template = tmp_path / "template.csv"
    template.write_bytes(text.encode())

    summary = submit(scores=scores, template=template, out=tmp_path / "submit.csv", missing=0.1)

    assert summary.out.read_bytes() == b"video_name,score\nb.mp4,0.1\na.mp4,0.25\n"


def test_the_template_is_never_written_over(template: Path, scores: Path) -> None:
    with pytest.raises(SubmissionError, match="is the template or the score table itself"):
        submit(scores=scores, template=template, out=template)

    assert template.read_text() == TEMPLATE


def test_columns_beside_name_and_value_are_kept(tmp_path: Path, scores: Path) -> None:
    template = tmp_path / "template.csv"
    template.write_text("id,y_pred,video_name,phase\n7,,a.mp4,2\n")

    summary = submit(scores=scores, template=template, out=tmp_path / "submit.csv")

    assert rows_of(summary.out) == [["id", "y_pred", "video_name", "phase"], ["7", "0.25", "a.mp4", "2"]]


def test_an_honest_template_comes_back_as_it_is_but_for_the_scores(tmp_path: Path, scores: Path) -> None:
    text = "id,video_name,y_pred,offset,note\n-7,a.mp4,{},-0.5,a=b\n+8,c.mp4,{},+1e-3,-\n9,b.mp4,{},,\n"
    template = tmp_path / "template.csv"
    template.write_bytes(text.format("", "", "").encode())

    summary = submit(scores=scores, template=template, out=tmp_path / "submit.csv")

    assert summary.out.read_bytes() == text.format("0.25", "0.5", "0.5").encode()


def test_a_pipe_or_a_device_is_no_table(
    tmp_path: Path, template: Path, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "endless.csv").symlink_to("/dev/zero")

    with pytest.raises(SubmissionError, match=r"'pipe\.csv' is not a regular file"):
        submit(scores=tmp_path / "pipe.csv", template=template, out=tmp_path / "o.csv")
    with pytest.raises(SubmissionError, match=r"'endless\.csv' is not a regular file"):
        submit(scores=scores, template=tmp_path / "endless.csv", out=tmp_path / "o.csv")
    monkeypatch.setattr(tables, "MOST_TABLE_BYTES", 10)
    with pytest.raises(SubmissionError, match="larger than 10 bytes"):
        submit(scores=scores, template=template, out=tmp_path / "o.csv")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.from_regex(r"[a-z0-9]{1,8}\.mp4", fullmatch=True), st.floats(0, 1), min_size=1, max_size=20
    ),
    extra=st.lists(st.from_regex(r"[A-Z]{1,8}\.mp4", fullmatch=True), max_size=5, unique=True),
    rng=st.randoms(),
)
def test_every_submission_is_the_left_join(
    tmp_path: Path, values: dict[str, float], extra: list[str], rng: object
) -> None:
    names = [*values, *extra]
    rng.shuffle(names)  # type: ignore[attr-defined]
    template = tmp_path / "t.csv"
    template.write_text("video_name,y_pred\n" + "".join(f"{name},\n" for name in names))
    scores = write_scores(tmp_path / "s.csv", [Score(name, value) for name, value in values.items()])

    summary = submit(scores=scores, template=template, out=tmp_path / "o.csv", missing=0.75)

    # the written text reads back as the very same number: no two scores become a tie
    assert [(name, float(value)) for name, value in rows_of(summary.out)[1:]] == [
        (n, values.get(n, 0.75)) for n in names
    ]
    assert {clip.name for clip in summary.filled} == set(extra)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_name,y_pred\na.mp4,\nb.mp4,\na.mp4,\n", r"'a.mp4' in lines 2 and 4"),
        ("file,y_pred\na.mp4,\n", "it needs video_name and y_pred"),
        ("video_name\na.mp4\n", "it needs video_name and y_pred"),
        ("video_name,y_pred\n", "names no clips"),
        ("", "is empty"),
        ("video_name,y_pred\na,b.mp4,0\n", "line 2"),
        ('video_name,y_pred\n"a.mp4,\n', "not a CSV file"),
        ("video_name,y_pred\n,0.2\na.mp4,\n", "''.* in line 2"),
        ("video_name,y_pred\n=HYPERLINK(1),\n", "start like a formula"),
        ("video_name,y_pred\n-2+3+cmd|' /C calc'!A0,\n", "start like a formula"),
        ("video_name,y_pred\n@SUM(A1)*cmd|x!A0,\n", "start like a formula"),
        ("video_name,y_pred\n=file:///etc/passwd,\n", "start like a formula"),
        ('video_name,y_pred\n"＝IMPORTXML(""http://x"",1)",\n', "start like a formula"),
        ('video_name,y_pred,note\na.mp4,,"=HYPERLINK(""http://x"",1)"\n', "run as a formula.*in line 2"),
        ("video_name,y_pred,@SUM(1)\na.mp4,,\n", "'@SUM.1.' in the header"),
        ('video_name,y_pred\n"new\nline.mp4",\na.mp4,\n', "control characters"),
    ],
)
def test_a_template_that_cannot_be_filled_is_one_clear_sentence(
    tmp_path: Path, scores: Path, text: str, message: str
) -> None:
    template = tmp_path / "template.csv"
    template.write_text(text)

    with pytest.raises(SubmissionError, match=message) as caught:
        submit(scores=scores, template=template, out=tmp_path / "submit.csv")

    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "template.csv"]


@pytest.mark.parametrize("encoding", ["utf-16", "gbk"])
def test_other_encodings_are_named(tmp_path: Path, scores: Path, encoding: str) -> None:
    template = tmp_path / "template.csv"
    template.write_bytes("video_name,y_pred\n视频.mp4,\n".encode(encoding))

    with pytest.raises(SubmissionError, match="UTF-8"):
        submit(scores=scores, template=template, out=tmp_path / "submit.csv")


def test_names_that_look_like_formulas_and_other_scripts_are_handed_in(tmp_path: Path) -> None:
    names = [
        "=1+1.mp4",
        "+49 123.mp4",
        "@user - title, 2.mp4",
        "＠user.mp4",
        "-5mAv3pQ.mp4",
        "--help.mp4",
        "视频 🎥.mp4",
        "<img src=x>.mp4",
        "%05d.mp4",
        "file:colon.mp4",
        'a "b", c.mp4',
        "é" * 120,
    ]
    scores = write_scores(tmp_path / "scores.csv", [Score(name, 0.125) for name in names])
    template = write_rows(tmp_path / "t.csv", names)

    summary = submit(scores=scores, template=template, out=tmp_path / "submit.csv")

    assert [row[0] for row in rows_of(summary.out)[1:]] == names
    assert summary.num_scored == len(names)


def write_rows(path: Path, names: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["video_name", "y_pred"], *([name, ""] for name in names)])
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_name,y_pred\na.mp4,1.5\n", r"line 2: 1.5 is outside \[0, 1\]"),
        ("video_name,y_pred\na.mp4,inf\n", "outside"),
        ("video_name,y_pred\na.mp4,-0.01\n", "outside"),
        ("video_name,y_pred\na.mp4,fake\n", "'fake' is no number"),
        ("video_name,y_pred\na.mp4,0.1\na.mp4,0.2\n", "comes twice .lines 2 and 3"),
        ("video_name,label\na.mp4,0.1\n", "it needs video_name and y_pred"),
        ("video_name,y_pred\nphase2/a.mp4,0.1\n", "names must be written alike"),
    ],
)
def test_a_score_table_that_cannot_be_trusted_is_refused(
    tmp_path: Path, template: Path, text: str, message: str
) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text(text)

    with pytest.raises(SubmissionError, match=message):
        submit(scores=scores, template=template, out=tmp_path / "submit.csv")


def test_not_a_number_is_filled_and_listed(tmp_path: Path, template: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("video_name,score\na.mp4,NaN\nb.mp4,0.2\nc.mp4,\n")

    summary = submit(scores=scores, template=template, out=tmp_path / "submit.csv", missing=0.0)

    assert [clip.name for clip in summary.filled] == ["a.mp4", "c.mp4"]
    assert rows_of(summary.out)[1:] == [["b.mp4", "0.2"], ["a.mp4", "0.0"], ["c.mp4", "0.0"]]


@pytest.mark.parametrize("missing", [-0.1, 1.1, math.nan])
def test_the_filling_value_is_a_score(tmp_path: Path, template: Path, scores: Path, missing: float) -> None:
    with pytest.raises(SubmissionError, match="cannot be filled"):
        submit(scores=scores, template=template, out=tmp_path / "submit.csv", missing=missing)


def test_a_missing_template_names_the_file(tmp_path: Path, scores: Path) -> None:
    with pytest.raises(SubmissionError, match=r"'nowhere.csv' cannot be read"):
        submit(scores=scores, template=tmp_path / "nowhere.csv", out=tmp_path / "submit.csv")


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path, template: Path, scores: Path) -> None:
    with pytest.raises(SubmissionError, match="cannot write"):
        submit(scores=scores, template=template, out=template / "submit.csv")


def test_a_submission_replaces_an_older_one(tmp_path: Path, template: Path, scores: Path) -> None:
    out = tmp_path / "submit.csv"
    out.write_text("old")

    submit(scores=scores, template=template, out=out)

    assert len(rows_of(out)) == 4
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="'=+-@\t\r\na＝", max_size=5))
def test_guarding_can_be_undone_and_leaves_no_formula(text: str) -> None:
    guarded = guard_formula(text)

    assert unguard_formula(guarded) == text
    assert guarded[:1] not in set("=+-@\t\r\n＝")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12),
        st.tuples(
            st.floats(0, 1), st.dictionaries(st.sampled_from(["voice", "picture", "agreement"]), st.floats(0, 1))
        ),
        max_size=8,
    )
)
def test_scores_read_back_as_they_were_written(
    tmp_path: Path, table: dict[str, tuple[float, dict[str, float]]]
) -> None:
    scores = tuple(Score(f"{name}.mp4", value, senses=senses) for name, (value, senses) in table.items())
    failed = Score("=bad", None, status="failed", reason="=1+1 is no video, says\nthe reader")

    path = write_scores(tmp_path / "scores.csv", [*scores, failed])

    assert read_scores(path) == (*scores, failed)


def test_scores_are_guarded_for_people(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "scores.csv", [Score("=HYPERLINK(1).mp4", 0.5, senses={"picture": 0.5})])

    assert path.read_text() == "video_name,y_pred,picture,status,reason\n'=HYPERLINK(1).mp4,0.5,0.5,ok,\n"


def test_undecodable_names_do_not_stop_the_table(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "scores.csv", [Score("caf\udce9.mp4", 0.5)])

    assert "caf\\udce9.mp4" in path.read_text(encoding="utf-8")


def test_two_scores_of_one_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="comes twice"):
        write_scores(tmp_path / "scores.csv", [Score("a", 0.1), Score("a", 0.2)])
