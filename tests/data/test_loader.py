"""Batches are right, complete, balanced, and the same whoever reads them."""

from __future__ import annotations

import doctest
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.data import loader as loader_module
from ffdv.data.loader import (
    Batch,
    Borrow,
    EpochSampler,
    LeftOut,
    LoaderSpec,
    choose_rows,
    make_loader,
    windows_of,
)
from ffdv.data.shards import ShardIndex, ShardRow, Shards, encode_row, open_shards, write_index, write_part
from ffdv.errors import ShardError
from ffdv.features.recipe import ExtractSpec, finish_sound, resample_mono
from ffdv.records import Clip, Features, FloatArray, MediaFacts, Samples

RATE = 8000


def seconds_of(number: int) -> float:
    return 0.5 + 0.25 * (number % 5)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """20 clips: 0.5 to 1.5 s, a quarter fake; 5 failed, 7 without sound, 9 without a label."""
    folder = tmp_path_factory.mktemp("shards")
    index = ShardIndex(extract=ExtractSpec(), data="/corpus", num_clips=20, clips_per_part=6, fingerprint="f")
    write_index(folder, index)
    rows = []
    for number in range(20):
        clip = Clip(f"{number}.wav", Path(f"/corpus/{number}.wav"), None if number == 9 else int(number % 4 == 0))
        facts = MediaFacts(clip.path, 1, "wav", None, None, (), (), False, {})
        ramp = np.linspace(-1, 1, round(seconds_of(number) * RATE), dtype=np.float32)[None] * np.float32(0.9)
        sound = None if number == 7 else Samples(ramp, RATE)
        rows.append(ShardRow(clip, reason="broken") if number == 5 else ShardRow(clip, Features(facts, sound)))
    for part in range(index.num_parts):
        write_part(folder, index, part, [encode_row(rows[number], index) for number in index.part_rows(part)])
    return open_shards(folder)


def add_luck(samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    return samples + np.float32(rng.normal() / 10)


def double(samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    return np.concatenate((samples, samples))


def nothing(samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    return samples[:0]


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a.names == b.names
        and torch.equal(a.samples, b.samples)
        and torch.equal(a.lengths, b.lengths)
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.start_seconds, b.start_seconds)
        for a, b in zip(first, second, strict=True)
    )


def batches(
    shards: Shards, epoch: int = 1, skip: int = 0, *, training: bool = True, augment: object = None, **spec: object
) -> list[Batch]:
    settled = LoaderSpec.model_validate({"workers": 0, "batch_size": 4, "window_seconds": 0.4} | spec)
    loader = make_loader(shards, settled, rate=RATE, training=training, augment=augment)  # type: ignore[arg-type]
    return list(loader.epoch(epoch, skip=skip))


def test_what_takes_no_part_is_named_and_counted(shards: Shards) -> None:
    loader = make_loader(shards, LoaderSpec(workers=0), rate=RATE, training=True)

    assert loader.left_out == LeftOut(failed=(5,), no_sound=(7,), no_label=(9,))
    assert sorted(loader.rows.tolist()) == [number for number in range(20) if number not in {5, 7, 9}]
    assert loader.left_out.sentence() == "left out: 1 failed in prepare, 1 without sound, 1 without a label"


def test_unlabelled_clips_can_take_part(shards: Shards) -> None:
    rows, left_out = choose_rows(shards, LoaderSpec(), need_labels=False)

    assert 9 in rows
    assert left_out.no_label == ()


def test_clips_that_are_cut_are_counted(shards: Shards) -> None:
    _, left_out = choose_rows(shards, LoaderSpec(window_seconds=None, max_seconds=1.2))

    assert left_out.cut == tuple(n for n in range(20) if seconds_of(n) > 1.2 and n not in {5, 7, 9})


def test_no_clip_at_all_is_an_error(shards: Shards) -> None:
    with pytest.raises(ShardError, match="no clip can take part"):
        make_loader(shards, LoaderSpec(), rate=RATE, training=True, rows=[5, 7])


def test_evaluation_gives_every_window_of_every_clip_in_order(shards: Shards) -> None:
    found = batches(shards, training=False, hop_seconds=0.2)

    row = 0
    flat = [(batch, place) for batch in found for place in range(len(batch))]
    for number in [n for n in range(20) if n not in {5, 7, 9}]:
        sound = shards.sound(number)
        assert sound is not None
        windows, starts = finish_sound(sound, rate=RATE, window_seconds=0.4, hop_seconds=0.2)
        for values, start in zip(windows, starts, strict=True):
            batch, place = flat[row]
            assert (batch.names[place], int(batch.clips[place])) == (f"{number}.wav", number)
            assert int(batch.labels[place]) == int(number % 4 == 0)
            assert float(batch.start_seconds[place]) == start
            np.testing.assert_array_equal(batch.samples[place, : batch.lengths[place]].numpy(), values)
            row += 1
    assert row == len(flat)


def test_whole_clips_are_padded_with_zeros_after_their_length(shards: Shards) -> None:
    for batch in batches(shards, training=False, window_seconds=None):
        assert batch.samples.shape[1] == int(batch.lengths.max())
        for samples, length, clip in zip(batch.samples, batch.lengths, batch.clips, strict=True):
            assert int(length) == round(seconds_of(int(clip)) * RATE)
            assert not samples[int(length) :].any()
            assert samples[: int(length)].abs().min() < 1e-3 < samples.abs().max()


def test_training_windows_are_pieces_of_their_clip(shards: Shards) -> None:
    starts = set()
    for batch in [*batches(shards, 1), *batches(shards, 2)]:
        for samples, length, clip, start in zip(
            batch.samples, batch.lengths, batch.clips, batch.start_seconds, strict=True
        ):
            sound = shards.sound(int(clip))
            assert sound is not None
            first = round(float(start) * RATE)
            np.testing.assert_array_equal(samples[: int(length)].numpy(), sound.mono()[first : first + int(length)])
            assert int(length) == round(0.4 * RATE)
            starts.add(first)
    assert len(starts) > 10


def test_without_random_crop_training_starts_at_the_beginning(shards: Shards) -> None:
    assert all(not batch.start_seconds.any() for batch in batches(shards, random_crop=False))


def test_luck_depends_on_neither_workers_nor_batch_size_nor_where_one_enters(shards: Shards) -> None:
    alone = batches(shards, 3, augment=add_luck)

    assert same(alone, batches(shards, 3, augment=add_luck, workers=2))
    assert same(alone[2:], batches(shards, 3, skip=2, augment=add_luck, workers=1))
    assert not same(alone, batches(shards, 4, augment=add_luck))
    assert not same(alone, batches(shards, 3, augment=add_luck, seed=1))
    by_clip = {
        (int(c), float(s)): x for b in alone for c, s, x in zip(b.clips, b.start_seconds, b.samples, strict=True)
    }
    for batch in batches(shards, 3, augment=add_luck, batch_size=7):
        for clip, start, samples in zip(batch.clips, batch.start_seconds, batch.samples, strict=True):
            assert torch.equal(by_clip[int(clip), float(start)], samples)


def test_one_loader_gives_the_same_epoch_again(shards: Shards) -> None:
    loader = make_loader(shards, LoaderSpec(workers=1, batch_size=4, window_seconds=0.4), rate=RATE, training=True)

    first, second, again = list(loader.epoch(1)), list(loader.epoch(2)), list(loader.epoch(1))

    assert same(first, again)
    assert not same(first, second)
    assert len(first) == len(loader)


def test_balancing_gives_both_classes_alike_and_repeats_differ(shards: Shards) -> None:
    found = batches(shards, augment=add_luck)

    labels = Counter(int(label) for batch in found for label in batch.labels)
    assert labels == {0: 9, 1: 8}
    fakes = [
        (int(c), round(float(x[0]), 6))
        for b in found
        for c, x, y in zip(b.clips, b.samples, b.labels, strict=True)
        if y == 1
    ]
    assert set(Counter(clip for clip, _ in fakes).values()) == {1, 2}
    assert len(set(fakes)) == 8, "a clip that comes again has another window or other luck"


def test_without_balancing_every_clip_comes_once(shards: Shards) -> None:
    clips = Counter(int(clip) for batch in batches(shards, balance_classes=False) for clip in batch.clips)

    assert clips == dict.fromkeys([n for n in range(20) if n not in {5, 7, 9}], 1)


def test_resampling_is_the_one_that_detection_uses(shards: Shards) -> None:
    loader = make_loader(
        shards, LoaderSpec(workers=0, batch_size=1, window_seconds=None), rate=6000, training=False, rows=[0]
    )

    batch = next(loader.epoch(1))

    np.testing.assert_array_equal(batch.samples[0].numpy(), resample_mono(shards.sound(0), 6000))  # type: ignore[arg-type]


def test_an_augmentation_that_lengthens_is_cut_to_the_window_and_an_empty_one_is_refused(shards: Shards) -> None:
    assert all(set(batch.lengths.tolist()) == {round(0.4 * RATE)} for batch in batches(shards, augment=double))
    whole = batches(shards, augment=double, window_seconds=None)
    assert max(int(batch.lengths.max()) for batch in whole) == 2 * round(1.5 * RATE)
    with pytest.raises(ValueError, match="no finite sound"):
        batches(shards, augment=nothing)


def test_evaluation_is_not_augmented(shards: Shards) -> None:
    assert same(batches(shards, training=False), batches(shards, training=False, augment=double))


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 1), min_size=1, max_size=40),
    size=st.integers(1, 9),
    ranks=st.integers(1, 4),
    balance=st.booleans(),
    skip=st.integers(0, 3),
)
def test_ranks_share_an_epoch_in_equal_steps(
    labels: list[int], size: int, ranks: int, balance: bool, skip: int
) -> None:
    spec = LoaderSpec(batch_size=size, balance_classes=balance)
    rows, classes = np.arange(100, 100 + len(labels)), np.asarray(labels)

    def epoch(rank: int, skip: int = 0) -> list[list[int]]:
        sampler = EpochSampler(rows, classes, spec, training=True, rank=rank, num_ranks=ranks)
        sampler.enter(2, skip)
        found = [[draw.row for draw in batch] for batch in sampler]
        assert skip or len(found) == len(sampler)
        return found

    shares = [epoch(rank) for rank in range(ranks)]

    assert len({len(share) for share in shares}) == 1
    assert all(epoch(rank, skip) == shares[rank][skip:] for rank in range(ranks))
    drawn = [row for share in shares for batch in share for row in batch]
    assert len(labels) <= len(drawn) < len(labels) + ranks
    assert set(drawn) <= set(rows.tolist())
    if not balance:
        assert set(drawn) == set(rows.tolist())
    for share in shares:
        assert all(1 <= len(batch) <= size + 1 for batch in share)
        assert len(share) == 1 or size == 1 or all(len(batch) > 1 for batch in share)


def test_a_batch_moves_to_a_device_with_its_names(shards: Shards) -> None:
    batch = batches(shards)[0]

    moved = batch.to("meta")

    assert moved.samples.device.type == moved.labels.device.type == moved.lengths.device.type == "meta"
    assert moved.names == batch.names


def silence(samples: FloatArray, rate: int, rng: np.random.Generator, borrow: Borrow) -> FloatArray:
    return np.zeros_like(samples)


def sometimes(samples: FloatArray, rate: int, rng: np.random.Generator, borrow: Borrow) -> FloatArray | None:
    return np.zeros_like(samples) if rng.random() < 0.5 else None


def lend(samples: FloatArray, rate: int, rng: np.random.Generator, borrow: Borrow) -> FloatArray:
    other = borrow(rng)
    assert other is not None
    return np.resize(other, len(samples) + 100)


def test_a_forged_real_window_is_fake_and_fakes_are_left_alone(shards: Shards) -> None:
    spec = LoaderSpec(batch_size=4, workers=0, window_seconds=0.5, balance_classes=False)
    (real, forged) = (
        list(make_loader(shards, spec, rate=RATE, training=True, forge=forge).epoch(1)) for forge in (None, silence)
    )

    for before, after in zip(real, forged, strict=True):
        assert (after.labels == 1).all()
        assert (after.samples[before.labels == 0] == 0).all()
        assert torch.equal(after.samples[before.labels == 1], before.samples[before.labels == 1])


def test_a_forgery_that_is_not_made_leaves_a_real_clip_real(shards: Shards) -> None:
    spec = LoaderSpec(batch_size=16, workers=0, window_seconds=0.5, balance_classes=False)
    loader = make_loader(shards, spec, rate=RATE, training=True, forge=sometimes)

    real = sum(int((batch.labels == 0).sum()) for epoch in range(1, 6) for batch in loader.epoch(epoch))
    unforged = int((shards.labels[loader.rows] == 0).sum()) * 5
    assert 0.25 * unforged < real < 0.75 * unforged


def test_a_borrowed_voice_is_cut_to_the_window_and_evaluation_forges_nothing(shards: Shards) -> None:
    spec = LoaderSpec(batch_size=4, workers=0, window_seconds=0.5)

    trained = next(make_loader(shards, spec, rate=RATE, training=True, forge=lend).epoch(1))
    judged = [*make_loader(shards, spec, rate=RATE, training=False, forge=lend).epoch(1)]

    assert trained.samples.shape[1] == RATE // 2
    assert {int(label) for batch in judged for label in batch.labels} == {0, 1}


LATE = 0.25  # seconds after the file's clock begins that the sound of partly forged clips does


@pytest.fixture(scope="module")
def partly_forged(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """A real clip and three fakes of 4 s: the second half is forged, a tenth of a second of it, and nobody knows what."""
    folder = tmp_path_factory.mktemp("partly")
    index = ShardIndex(extract=ExtractSpec(), data="/corpus", num_clips=4, clips_per_part=4, fingerprint="f")
    write_index(folder, index)
    rows = []
    for name, segments in {"real": "[]", "half": "[[2.25, 4.25]]", "word": "[[1.0, 1.1]]", "unknown": ""}.items():
        clip = Clip(
            name, Path(f"/corpus/{name}"), int(name != "real"), groups={"segments": segments} if segments else {}
        )
        facts = MediaFacts(clip.path, 1, "wav", None, None, (), (), False, {})
        rows.append(ShardRow(clip, Features(facts, Samples(np.full((1, 4 * RATE), 0.1, np.float32), RATE, LATE))))
    write_part(folder, index, 0, [encode_row(row, index) for row in rows])
    return open_shards(folder)


def labelled_windows(shards: Shards, *, epochs: int = 60, **spec: object) -> dict[str, list[tuple[float, float]]]:
    """(start, label) of each training window, by clip."""
    settled = LoaderSpec.model_validate({"workers": 0, "window_seconds": 1.0, "balance_classes": False} | spec)
    loader = make_loader(shards, settled, rate=RATE, training=True)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in shards.names}
    for batch in (batch for epoch in range(1, epochs + 1) for batch in loader.epoch(epoch)):
        for name, start, label in zip(batch.names, batch.start_seconds.tolist(), batch.labels.tolist(), strict=True):
            found[name].append((start, label))
    return found


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(loader_module).failed == 0


def test_windows_of_the_genuine_half_are_real_and_those_of_the_forged_half_fake(partly_forged: Shards) -> None:
    found = labelled_windows(partly_forged, fake_seconds=0.25)

    before = [label for start, label in found["half"] if start + 1.0 <= 2.25]
    beyond = [label for start, label in found["half"] if start + 1.0 >= 2.5]
    between = [(start, label) for start, label in found["half"] if 2.25 < start + 1.0 < 2.5]
    assert len(before) > 5
    assert len(beyond) > 5
    assert between
    assert set(before) == {0.0}
    assert set(beyond) == {1.0}
    for start, label in between:
        assert label == pytest.approx((start + 1.0 - 2.25) / 0.25, abs=1e-3)
    assert {label for _, label in found["real"]} == {0.0}
    assert {label for _, label in found["unknown"]} == {1.0}


def test_a_window_that_holds_all_that_is_forged_is_fake_however_little_that_is(partly_forged: Shards) -> None:
    found = labelled_windows(partly_forged, fake_seconds=0.5)["word"]

    assert {label for start, label in found if start <= 1.0 and start + 1.0 >= 1.1} == {1.0}
    assert {label for start, label in found if start >= 1.1} == {0.0}


@pytest.mark.parametrize("spec", [{"fake_seconds": None}, {"window_seconds": None}])
def test_windows_have_their_clips_label_where_that_is_asked_for_and_whole_clips_have_it_always(
    partly_forged: Shards, spec: dict[str, object]
) -> None:
    found = labelled_windows(partly_forged, epochs=5, **spec)

    assert {name: {label for _, label in rows} for name, rows in found.items()} == {
        "real": {0.0}, "half": {1.0}, "word": {1.0}, "unknown": {1.0}
    }  # fmt: skip


def test_evaluation_keeps_the_clips_label_and_tells_where_each_window_lies(partly_forged: Shards) -> None:
    spec = LoaderSpec(workers=0, window_seconds=1.5, hop_seconds=1.0, batch_size=1)
    batches = list(make_loader(partly_forged, spec, rate=RATE, training=False).epoch(1))

    assert [batch.labels.unique().tolist() for batch in batches] == [[0], [1], [1], [1]]
    np.testing.assert_allclose(batches[1].spans - LATE, [(0, 1.5), (1, 2.5), (2, 3.5), (2.5, 4)])


def test_forged_seconds_that_are_none_are_told_with_the_cure(partly_forged: Shards, tmp_path: Path) -> None:
    index = ShardIndex(extract=ExtractSpec(), data="/corpus", num_clips=1, clips_per_part=4, fingerprint="f")
    write_index(tmp_path, index)
    clip = Clip("odd", Path("/corpus/odd"), 1, groups={"segments": "three"})
    write_part(tmp_path, index, 0, [encode_row(ShardRow(clip, reason="broken"), index)])

    with pytest.raises(ShardError, match=r"forged seconds of 'odd' are not a list.*prepare the clips again"):
        _ = open_shards(tmp_path).forged_seconds


def test_a_batch_of_evaluation_is_closed_before_long_clips_fill_the_memory() -> None:
    seconds = np.array([600.0, 600.0, 7.0, 7.0, 7.0, 3600.0, 7.0])
    spec = LoaderSpec(batch_size=3, window_seconds=4.0, hop_seconds=2.0)
    windows = windows_of(seconds, spec)
    rows = np.arange(len(seconds))

    def batches(**more: object) -> list[list[int]]:
        sampler = EpochSampler(rows, rows % 2, spec, windows=windows, **more)  # type: ignore[arg-type]
        found = [[draw.row for draw in batch] for batch in sampler]
        assert len(found) == len(sampler)
        return found

    assert windows.tolist() == [299, 299, 3, 3, 3, 1799, 3]
    assert batches(training=False) == [[0], [1, 2, 3], [4], [5], [6]]
    assert batches(training=False, rank=1, num_ranks=2) == [[1, 3], [5]]
    assert sorted(len(batch) for batch in batches(training=True)) == [3, 4]  # one window of each clip there
    assert windows_of(seconds, LoaderSpec(window_seconds=None)).tolist() == [20, 20, 1, 1, 1, 120, 1]


def test_a_clip_longer_than_a_net_takes_whole_is_judged_piece_by_piece(partly_forged: Shards) -> None:
    spec = LoaderSpec(workers=0, window_seconds=None, max_seconds=1.5, batch_size=1)
    loader = make_loader(partly_forged, spec, rate=RATE, training=False, rows=[0])
    (batch,) = loader.epoch(1)

    np.testing.assert_allclose(batch.spans - LATE, [(0, 1.5), (1.5, 3), (2.5, 4)])
    assert loader.left_out.cut == ()
    assert make_loader(partly_forged, spec, rate=RATE, training=True, rows=[0]).left_out.cut == (0,)
