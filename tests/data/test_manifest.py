"""Corpora in every spelling, and every bad row by its number."""

from __future__ import annotations

import doctest
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffdv.data import corpus as corpus_module
from ffdv.data.corpus import Corpus, forged_seconds, group_value
from ffdv.data.manifest import load_corpus, load_every_clip
from ffdv.errors import ManifestError

WriteTable = Callable[..., Path]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read here")


def labels(corpus: Corpus) -> dict[str, tuple[int | None, str | None]]:
    return {clip.name: (clip.label, clip.split) for clip in corpus.clips}


CHALLENGE = {"a.mp4": (0, "train"), "b.mp4": (1, "train"), "c.mp4": (1, "val"), "d.mp4": (None, "test")}


@pytest.mark.parametrize(
    ("train", "val", "test", "train_table", "val_table"),
    [
        (
            "phase1/trainset",
            "phase1/valset",
            "phase2/testset1seen",
            "phase1/trainset_label.txt",
            "phase1/valset_label.txt",
        ),
        ("phase1/trainset", "phase1/valset", "phase2/testset1seen", "phase1/train_label.txt", "phase1/val_label.csv"),
        ("trainset", "valset", "testset1seen", "train_label.csv", "val_label.txt.csv"),
        (
            "x/phase1/trainset",
            "x/phase1/valset",
            "x/phase2/testset",
            "x/phase1/trainset_label.txt",
            "x/phase1/valset_label.txt",
        ),
        ("phase1/trainset", "phase1/valset", "phase2/testset1seen", "train_label.txt", "val_label.txt"),
        ("train", "val", "testset", "train_label.txt", "val_label.txt"),
        (".", ".", "testset1seen", "trainset_label.txt", "valset_label.txt"),
    ],
)
def test_the_challenge_loads_in_every_spelling(
    tmp_path: Path, write_table: WriteTable, train: str, val: str, test: str, train_table: str, val_table: str
) -> None:
    touch(tmp_path / train, "a.mp4", "b.mp4")
    touch(tmp_path / val, "c.mp4")
    touch(tmp_path / test, "d.mp4")
    write_table(tmp_path / train_table, [("video_name", "target"), ("a.mp4", 0), ("b.mp4", 1)])
    write_table(tmp_path / val_table, [("video_name", "target"), ("c.mp4", 1)])

    corpus = load_corpus(tmp_path)

    assert labels(corpus) == CHALLENGE
    assert corpus.problems == ()
    assert all(clip.path.is_file() for clip in corpus.clips)


def test_one_phase_one_set_and_one_label_table_load_alone(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path / "phase1/trainset", "a.mp4", "b.mp4")
    touch(tmp_path / "phase2/testset1seen", "d.mp4")
    table = write_table(tmp_path / "phase1/trainset_label.txt", [("video_name", "target"), ("a.mp4", 0), ("b.mp4", 1)])
    train = {"a.mp4": (0, "train"), "b.mp4": (1, "train")}

    assert labels(load_corpus(tmp_path / "phase1")) == train
    assert labels(load_corpus(tmp_path / "phase1/trainset")) == train
    assert labels(load_corpus(table)) == train
    assert labels(load_corpus(tmp_path / "phase2")) == {"d.mp4": (None, "test")}
    assert labels(load_corpus(tmp_path / "phase2/testset1seen")) == {"d.mp4": (None, None)}


def test_the_same_name_in_two_sets_is_reported_and_the_first_kept(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path / "trainset", "a.mp4", "b.mp4")
    touch(tmp_path / "valset", "a.mp4")
    write_table(tmp_path / "train_label.txt", [("video_name", "target"), ("a.mp4", 0), ("b.mp4", 1)])
    write_table(tmp_path / "val_label.txt", [("video_name", "target"), ("a.mp4", 0)])

    corpus = load_corpus(tmp_path)

    assert labels(corpus) == {"a.mp4": (0, "train"), "b.mp4": (1, "train")}
    assert [problem.kind for problem in corpus.problems] == ["duplicate"]


@pytest.mark.parametrize(
    ("header", "name", "delimiter"),
    [
        (("video_name", "target"), "t.csv", ","),
        (("file", "label"), "t.tsv", "\t"),
        (("path", "label"), "t.txt", ","),
        (("File", "Target"), "t.csv", "\t"),
    ],
)
def test_any_table_with_a_file_and_a_label_column_loads(
    tmp_path: Path, write_table: WriteTable, header: tuple[str, str], name: str, delimiter: str
) -> None:
    touch(tmp_path, "a.mp4", "sub/b.wav")
    rows = [(*header, "method", "Split"), ("a.mp4", "real", "", "dev"), ("sub/b.wav", "FAKE", "hifigan", "")]

    corpus = load_corpus(write_table(tmp_path / name, rows, delimiter))

    assert labels(corpus) == {"a.mp4": (0, "dev"), "sub/b.wav": (1, None)}
    assert [dict(clip.groups) for clip in corpus.clips] == [{}, {"method": "hifigan"}]


def test_the_table_with_more_known_columns_is_taken(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path, "a.mp4")
    write_table(tmp_path / "label.csv", [("video_name", "target"), ("a.mp4", 0)])
    write_table(tmp_path / "manifest.csv", [("file", "target", "method", "identity"), ("a.mp4", 0, "real", "ann")])

    assert load_corpus(tmp_path).clips[0].groups == {"method": "real", "identity": "ann"}


def test_both_spellings_of_method_are_one_group() -> None:
    assert group_value({"generator": "WaveGrad2"}, "method") == "WaveGrad2"
    assert group_value({"method": "wav2lip", "generator": ""}, "generator") == "wav2lip"
    assert group_value({"identity": "ann"}, "method") is None


def test_a_byte_order_mark_and_windows_line_ends_load(tmp_path: Path) -> None:
    touch(tmp_path, "视频.mp4")
    (tmp_path / "t.csv").write_bytes("\ufeffvideo_name,target\r\n视频.mp4,1\r\n".encode())

    assert labels(load_corpus(tmp_path / "t.csv")) == {"视频.mp4": (1, None)}


def test_every_bad_row_is_named_by_number_and_the_rest_loads(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path / "data", "a.mp4", "b.mp4", "c.mp4", "folder.mp4/x")
    touch(tmp_path, "outside.mp4")
    (tmp_path / "data/link.mp4").symlink_to(tmp_path / "outside.mp4")
    (tmp_path / "data/inner.mp4").symlink_to(tmp_path / "data/c.mp4")
    (tmp_path / "data/away").symlink_to(tmp_path)
    rows = [
        ("video_name", "target"),
        ("a.mp4", 0),
        ("gone.mp4", 1),  # row 3
        ("a.mp4", 0),
        ("b.mp4", 1),
        ("b.mp4", 0),
        ("c.mp4", "maybe"),
        ("../outside.mp4", 1),
        (str(tmp_path / "outside.mp4"), 1),  # row 9
        ("link.mp4", 1),
        ("away/outside.mp4", 1),
        ("folder.mp4", 1),
        ("", 1),
        ("a.mp4", 0, 5),  # row 14
        ("inner.mp4", ""),
        (r"..\outside.mp4", 1),
        ("C:/outside.mp4", 1),
        ("a.mp4/../../outside.mp4", 1),
    ]

    corpus = load_corpus(write_table(tmp_path / "data/t.csv", rows))

    assert labels(corpus) == {"a.mp4": (0, None), "inner.mp4": (None, None)}
    assert [(problem.row, problem.kind) for problem in corpus.problems] == [
        (3, "missing"),
        (4, "duplicate"),
        (6, "conflict"),
        (7, "label"),
        (8, "outside"),
        (9, "outside"),
        (10, "outside"),
        (11, "outside"),
        (12, "missing"),
        (13, "row"),
        (14, "row"),
        (15, "unlabelled"),
        (16, "outside"),
        (17, "outside"),
        (18, "outside"),
    ]
    assert all(f"row {problem.row}" in problem.text for problem in corpus.problems)


def test_a_monstrous_cell_does_not_make_a_monstrous_sentence(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path, "a.mp4")

    corpus = load_corpus(
        write_table(tmp_path / "t.csv", [("file", "label"), ("a.mp4", 1), ("x" * 100_000, "\n" * 9000)])
    )

    assert [len(problem.text) < 500 and "\n" not in problem.text for problem in corpus.problems] == [True]


def test_an_absolute_path_inside_the_folder_is_fine(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path, "a.mp4")

    corpus = load_corpus(write_table(tmp_path / "t.csv", [("file", "label"), (str(tmp_path / "a.mp4"), 1)]))

    assert corpus.clips[0].path == tmp_path / "a.mp4"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        ("video_name,target\na.mp4,1\n".encode("utf-16"), "UTF-16"),
        ("video_name,target\n视频.mp4,1\n".encode("gbk"), "row 2 is not UTF-8"),
        (b"video_name;target\r\na.mp4;1\r\n", "separator is ';'"),
        (b"a.mp4,1\n", "no header"),
        (b"video_name,target\n", "no rows"),
        (b"video_name,score\na.mp4,1\n", "no label column"),
        (b"title,target\na.mp4,1\n", "no file column"),
        (b'video_name,target\n"a.mp4,1\n', "quotes"),
        (b"video_name,target,target\na.mp4,1,1\n", "twice"),
        (b"video_name,target\ngone.mp4,1\n", "row 2"),
    ],
)
def test_a_wholly_bad_table_is_one_sentence_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(ManifestError, match=said) as caught:
        load_corpus(tmp_path / "t.csv")

    assert str(caught.value).startswith(str(tmp_path / "t.csv"))
    assert "\n" not in str(caught.value)


def test_a_broken_manifest_is_not_taken_for_a_folder_without_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "manifest.csv").write_bytes(b"file;label\na.mp4;1\n")

    with pytest.raises(ManifestError, match="separator"):
        load_corpus(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("视频名,标签\na.mp4,0\n".encode(), "no file column among '视频名'"),
        ("video_name,target\na.mp4,1\n".encode("utf-16"), "UTF-16"),
        (b"video_name;target\na.mp4;1\n", "separator is ';'"),
        ("video_name，target\na.mp4，1\n".encode(), "full-width comma"),
        (b"a.mp4,1\n", "no header"),
    ],
)
def test_a_label_table_of_the_challenge_with_an_unusable_header_is_an_error_and_never_passed_over(
    tmp_path: Path, write_table: WriteTable, content: bytes, said: str
) -> None:
    touch(tmp_path, "phase1/trainset/a.mp4", "phase1/valset/b.mp4")
    write_table(tmp_path / "phase1/valset_label.txt", [("video_name", "target"), ("b.mp4", 1)])
    table = tmp_path / "phase1/trainset_label.txt"
    table.write_bytes(content)

    for data in (tmp_path, tmp_path / "phase1/trainset"):
        with pytest.raises(ManifestError, match=said) as caught:
            load_corpus(data)
        assert str(caught.value).startswith(str(table.resolve()))
    # Who judges needs no labels: the clips keep their names.
    assert {clip.name for clip in load_every_clip(tmp_path).clips} == {"a.mp4", "b.mp4"}


def test_an_unusable_label_table_does_not_matter_beside_a_usable_one_of_its_set(
    tmp_path: Path, write_table: WriteTable
) -> None:
    touch(tmp_path, "trainset/a.mp4")
    (tmp_path / "train_label.csv").write_bytes(b"video_name;target\na.mp4;0\n")
    write_table(tmp_path / "train_label.txt", [("video_name", "target"), ("a.mp4", 1)])

    assert labels(load_corpus(tmp_path)) == labels(load_corpus(tmp_path / "trainset")) == {"a.mp4": (1, "train")}


def test_a_pipe_by_a_label_tables_name_is_not_waited_for(tmp_path: Path) -> None:
    touch(tmp_path, "trainset/a.mp4")
    os.mkfifo(tmp_path / "trainset_label.txt")

    assert labels(load_corpus(tmp_path / "trainset")) == {"a.mp4": (None, None)}


def test_labels_may_be_chinese_words(tmp_path: Path, write_table: WriteTable) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    rows = [("file", "label"), ("a.mp4", "真"), ("b.mp4", "假"), ("c.mp4", "真实"), ("d.mp4", " 伪造 ")]

    corpus = load_corpus(write_table(tmp_path / "t.csv", rows))

    assert [clip.label for clip in corpus.clips] == [0, 1, 0, 1]


def test_a_folder_without_labels_names_clips_by_their_path_and_counts_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "b.MP4", "sub/a.opus", "notes.md", "--help.mp4", "%05d.mp4", "new\nline.mp4", "._a.mp4")
    (tmp_path / "link.mp4").symlink_to("/etc/hostname")

    corpus = load_corpus(tmp_path)

    assert labels(corpus) == dict.fromkeys(
        ["%05d.mp4", "--help.mp4", "b.MP4", "new\nline.mp4", "sub/a.opus"], (None, None)
    )
    assert Counter(problem.kind for problem in corpus.problems) == {"outside": 1, "skipped": 1}
    assert "2 files" in next(problem.text for problem in corpus.problems if problem.kind == "skipped")


def test_links_and_absolute_paths_are_followed_into_folders_that_the_user_names(
    tmp_path: Path, write_table: WriteTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    big, data = tmp_path / "big", tmp_path / "data"
    touch(big, "a.mp4", "set/b.mp4", "c.mp4")
    data.mkdir()
    (data / "a.mp4").symlink_to(big / "a.mp4")
    (data / "set").symlink_to(big / "set")
    (data / "again").symlink_to(big / "set")
    (big / "set/round").symlink_to(big)
    table = write_table(
        tmp_path / "t/t.csv", [("file", "label"), (str(big / "c.mp4"), 1), (str(tmp_path / "t.csv"), 0)]
    )
    (tmp_path / "t/t").symlink_to(big)

    with pytest.raises(ManifestError, match="name where the link leads in FFDV_DATA_ROOTS"):
        load_corpus(data)
    with pytest.raises(ManifestError, match="name the file's folder in FFDV_DATA_ROOTS"):
        load_corpus(table)
    monkeypatch.setenv("FFDV_DATA_ROOTS", os.pathsep.join((str(tmp_path / "t"), str(big))))

    assert sorted(clip.path for clip in load_corpus(data).clips) == [
        (big / name).resolve() for name in ("a.mp4", "c.mp4", "set/b.mp4")
    ]
    assert {problem.kind for problem in load_corpus(data).problems} == {"duplicate"}
    assert [clip.path for clip in load_corpus(table).clips] == [(big / "c.mp4").resolve()]
    assert [problem.kind for problem in load_corpus(table).problems] == ["outside"]


def test_the_challenges_sets_may_lie_on_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "big/phase1/trainset", "a.mp4")
    (tmp_path / "big/phase1/trainset_label.txt").write_text("video_name,target\na.mp4,1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/phase1").symlink_to(tmp_path / "big/phase1")
    monkeypatch.setenv("FFDV_DATA_ROOTS", str(tmp_path / "big"))

    assert labels(load_corpus(tmp_path / "data")) == {"a.mp4": (1, "train")}


def test_one_file_is_a_corpus_of_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")

    assert labels(load_corpus(tmp_path / "a.mp4")) == {"a.mp4": (None, None)}


@pytest.mark.parametrize("name", ["gone", "gone.csv"])
def test_nothing_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="no such file or folder"):
        load_corpus(tmp_path / name)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no media"):
        load_corpus(tmp_path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
    | st.sampled_from(["../x.mp4", "/etc/passwd", "a/../../x.mp4", "..", ".", "a.mp4/.", "~/x", "file:///etc/passwd"])
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, write_table: WriteTable, name: str) -> None:
    """Whatever is written as a name, what is loaded is a file below the folder, and what is not loaded is reported."""
    root = tmp_path / "root"
    touch(root, "a.mp4")
    touch(tmp_path, "x.mp4")
    table = write_table(root / "t.csv", [("video_name", "target"), ("a.mp4", 0), (name, 0)])

    corpus = load_corpus(table)

    assert all(clip.path.resolve().is_relative_to(root) and clip.path.is_file() for clip in corpus.clips)
    assert (len(corpus.clips) == 2) is (corpus.problems == ())


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "clips", "fakes", "group"),
    [("audio/train", 4812, 2541, "generator"), ("video/train", 239, 140, "method")],
)
def test_the_shared_corpora_load_as_they_are(
    shared_data: Path, folder: str, clips: int, fakes: int, group: str
) -> None:
    corpus = load_corpus(shared_data / folder)

    assert len(corpus.clips) == clips
    assert sum(clip.label == 1 for clip in corpus.clips) == fakes
    assert corpus.problems == ()
    assert all(group_value(clip.groups, "method") == clip.groups[group] for clip in corpus.clips)
    assert {clip.split for clip in corpus.clips} == ({"train", "dev"} if folder == "audio/train" else {None})


@pytest.mark.data
def test_the_bad_tables_that_users_send_are_one_sentence_each(shared_data: Path) -> None:
    tables = sorted((shared_data / "odd_media/generated/csv").glob("*.csv"))
    assert tables

    for table in tables:
        with pytest.raises(ManifestError) as caught:
            load_corpus(table)
        assert table.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_examples_in_the_docs_of_corpora_hold() -> None:
    assert doctest.testmod(corpus_module).failed == 0


@pytest.mark.parametrize("column", ["segments", "fake_segments", "fake_periods"])
def test_forged_seconds_are_read_and_those_that_are_none_are_told_by_row_and_left_out(
    tmp_path: Path, write_table: WriteTable, column: str
) -> None:
    cells = {"a": "[[0.5, 1]]", "b": "", "c": "three", "d": "[[2, 1]]", "e": "[[1]]", "f": "[[0, NaN]]", "g": "[]"}
    touch(tmp_path, *(f"{name}.wav" for name in cells))
    write_table(
        tmp_path / "labels.csv", [("file", "label", column), *((f"{n}.wav", 1, cell) for n, cell in cells.items())]
    )

    corpus = load_corpus(tmp_path)

    found = {clip.name[0]: forged_seconds(clip.groups) for clip in corpus.clips}
    assert found == {"a": ((0.5, 1.0),), "g": (), **dict.fromkeys("bcdef")}
    assert [(problem.row, problem.kind) for problem in corpus.problems] == [(row, "segments") for row in (4, 5, 6, 7)]
    assert all("write [[start, stop], ...]" in problem.text for problem in corpus.problems)


@pytest.mark.parametrize("cell", ["[" * 60_000, f"[[0, 1{'0' * 400}]]", f"[[0, 1{'0' * 5000}]]"])
def test_no_cell_of_forged_seconds_stops_a_table(tmp_path: Path, write_table: WriteTable, cell: str) -> None:
    touch(tmp_path, "a.wav", "b.wav")

    corpus = load_corpus(
        write_table(tmp_path / "t.csv", [("file", "label", "segments"), ("a.wav", 1, cell), ("b.wav", 1, "[[0, 1]]")])
    )

    assert [problem.kind for problem in corpus.problems] == ["segments"]
    assert [clip.groups for clip in corpus.clips] == [{}, {"segments": "[[0, 1]]"}]
