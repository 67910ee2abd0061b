"""Faces found, followed and cut out: properties on drawn faces, arithmetic against slow references, real clips where they are."""

from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scenes import Scripted, frames_of, scene

from ffdv.errors import RecipeError, WeightsError
from ffdv.features.crops import Square, cut_square, face_square, moved_inside, roll
from ffdv.features.face_detectors import (
    KNOWN_MODELS,
    STRIDES,
    Detections,
    FaceDetector,
    YuNet,
    containment,
    decode_grids,
    joined,
    make_face_detector,
    overlap,
    suppressed,
)
from ffdv.features.faces import FaceSpec, find_faces, is_cut, no_face_note
from ffdv.features.landmarks import INNER_LIPS, MESH_MARGIN, OUTER_LIPS, FaceMesh, square_at
from ffdv.features.networks import packaged_weights
from ffdv.features.recipe import ExtractSpec, extract
from ffdv.features.tracking import MovingBox, matched
from ffdv.media.read import open_media, read_frames
from ffdv.media.write import write_media
from ffdv.records import FaceTrack, Frame, PixelArray, Samples

WHOLE_PICTURE = FaceSpec(scan_every=1)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return make_face_detector()


@pytest.fixture(scope="module")
def face_mesh() -> FaceMesh:
    return FaceMesh()


boxes = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(1, 30), st.floats(1, 30)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    min_size=1,
    max_size=8,
)


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


# the detector


@given(boxes, boxes)
@settings(max_examples=25, deadline=None)
def test_overlap_equals_the_slow_formula(one: list, many: list) -> None:
    a, b = np.array(one, np.float32), np.array(many, np.float32)

    assert overlap(a, b) == pytest.approx(np.array([[slow_iou(x, y) for y in b] for x in a]), abs=1e-4)


def test_a_box_inside_another_is_wholly_contained() -> None:
    assert containment(np.float32([[0, 0, 10, 10]]), np.float32([[2, 2, 4, 4], [9, 9, 19, 19]])) == pytest.approx(
        np.array([[1.0, 0.01]])
    )


@given(boxes, st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_suppression_keeps_the_best_and_no_two_that_overlap(made: list, seed: int) -> None:
    array = np.array(made, np.float32)
    scores = np.random.default_rng(seed).permutation(len(made)).astype(np.float32)
    kept = suppressed(array, scores, 0.3)

    assert kept[0] == scores.argmax()
    assert all(slow_iou(array[i], array[j]) <= 0.3 + 1e-5 for i in kept for j in kept if i != j)
    assert all(
        any(slow_iou(array[i], array[j]) > 0.3 - 1e-5 and scores[i] > scores[j] for i in kept)
        for j in set(range(len(made))) - set(kept.tolist())
    )


def test_a_grid_cell_becomes_the_box_that_it_means() -> None:
    width, height = 64, 32
    grids = {}
    for stride in STRIDES:
        cells = (width // stride) * (height // stride)
        for head, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            grids[f"{head}_{stride}"] = np.zeros((1, cells, size), np.float32)
    row, column = 1, 3  # of the grid of stride 16: 2 rows of 4 cells
    cell = row * 4 + column
    grids["cls_16"][0, cell], grids["obj_16"][0, cell] = 0.81, 1.0
    grids["bbox_16"][0, cell] = [0.5, 0.25, math.log(2), math.log(1)]
    grids["kps_16"][0, cell, :2] = [1.0, -1.0]

    found = decode_grids(grids, width)

    assert found.scores == pytest.approx([0.9])
    assert found.boxes[0] == pytest.approx([3.5 * 16 - 16, 1.25 * 16 - 8, 3.5 * 16 + 16, 1.25 * 16 + 8])
    assert found.landmarks[0, 0] == pytest.approx([64, 0])


def test_the_detector_finds_drawn_faces_where_they_are(detector: FaceDetector) -> None:
    found = detector.detect(scene(640, 360, [(40, 60, 240), (400, 150, 120)]))

    assert len(found) == 2
    assert found.scores.min() > 0.8
    for box, (left, top, size) in zip(found.boxes, [(40, 60, 240), (400, 150, 120)], strict=True):
        face = np.float32([left + 0.25 * size, top + 0.16 * size, left + 0.75 * size, top + 0.84 * size])
        assert slow_iou(box, face) > 0.6
        right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks[found.boxes.tolist().index(box.tolist())]
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < right_mouth[1]
        assert right_mouth[0] < left_mouth[0]


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (33, 7), (-20, 12)])
def test_a_moved_face_gives_a_moved_box(detector: FaceDetector, dx: int, dy: int) -> None:
    here = detector.detect(scene(320, 240, [(80, 40, 140)])).boxes[0]
    there = detector.detect(scene(320, 240, [(80 + dx, 40 + dy, 140)])).boxes[0]

    assert there - here == pytest.approx(np.array([dx, dy, dx, dy]), abs=6)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (31, 33), (16, 400)])
def test_odd_and_tiny_pictures_are_just_pictures_without_faces(detector: FaceDetector, shape: tuple[int, int]) -> None:
    assert len(detector.detect(np.zeros((*shape, 3), np.uint8))) == 0


def test_noise_gradients_and_test_cards_hold_no_face(detector: FaceDetector) -> None:
    rng = np.random.default_rng(0)
    bars = np.repeat(np.repeat(rng.integers(0, 255, (4, 8, 3), np.uint8), 60, 0), 60, 1)
    slope = np.repeat(np.linspace(0, 255, 480).astype(np.uint8)[None, :, None], 240, 0).repeat(3, 2)
    cards = [rng.integers(0, 255, (240, 480, 3), np.uint8), bars, slope, np.zeros((240, 480, 3), np.uint8)]

    assert [len(find_faces(frames_of([card] * 8), FaceSpec(), detector).tracks) for card in cards] == [0, 0, 0, 0]


def test_an_unknown_name_lists_the_nearest_or_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="there is no face detector 'yunnet'; nearest: yunet"):
        make_face_detector("yunnet")
    with pytest.raises(RecipeError, match="there is no face detector 'mtcnn'; known: yunet"):
        make_face_detector("mtcnn")


def test_a_model_file_must_be_one_that_we_know(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"not a model")
    known = tmp_path / "anything.onnx"
    known.write_bytes(packaged_weights("yunet.onnx"))

    with pytest.raises(WeightsError, match=r"foreign.onnx: not a face model.*face_detection_yunet_2023mar.onnx"):
        make_face_detector(model=foreign)
    with pytest.raises(WeightsError, match="cannot be read"):
        make_face_detector(model=tmp_path / "absent.onnx")
    assert isinstance(make_face_detector(model=known), YuNet)


def test_a_model_of_fixed_size_sees_the_same_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: FaceDetector
) -> None:
    """OpenCV's file takes one size only; a copy of ours that is fixed like it stands in for it."""
    onnx = pytest.importorskip("onnx")
    network = onnx.load_from_string(packaged_weights("yunet.onnx"))
    for axis, side in ((2, 320), (3, 320)):
        network.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    path = tmp_path / "fixed.onnx"
    path.write_bytes(network.SerializeToString())
    monkeypatch.setitem(KNOWN_MODELS, hashlib.sha256(path.read_bytes()).hexdigest(), "fixed.onnx")
    fixed = make_face_detector(model=path)

    for picture in (scene(640, 360, [(150, 60, 240)]), scene(200, 240, [(30, 40, 140)])):
        one, other = fixed.detect(picture), detector.detect(picture)
        assert len(one) == len(other) == 1
        assert one.boxes == pytest.approx(other.boxes, abs=0.06 * picture.shape[0])
        assert one.landmarks == pytest.approx(other.landmarks, abs=0.04 * picture.shape[0])


def test_a_face_found_twice_counts_once() -> None:
    one = Detections(np.float32([[0, 0, 10, 10]]), np.float32([0.8]), np.zeros((1, 5, 2), np.float32))
    two = Detections(
        np.float32([[1, 0, 11, 10], [50, 0, 60, 10]]), np.float32([0.9, 0.7]), np.zeros((2, 5, 2), np.float32)
    )

    assert joined([one, two]).scores.tolist() == pytest.approx([0.9, 0.7])
    assert len(joined([])) == 0


# following


def test_a_moving_box_is_predicted_where_it_goes() -> None:
    place = MovingBox(np.float32([0, 0, 40, 40]), 0.0)
    for k in range(1, 6):
        place.seen(np.float32([10 * k, 0, 10 * k + 40, 40]), k * 0.125)

    assert place.predicted(6 * 0.125) == pytest.approx([60, 0, 100, 40], abs=1.5)


def test_assignment_is_the_best_one_and_not_the_greedy_one() -> None:
    predictions = np.float32([[0, 0, 10, 10], [8, 0, 18, 10]])
    found = Detections(
        np.float32([[5, 0, 15, 10], [-6, 0, 4, 10]]), np.float32([0.9, 0.9]), np.zeros((2, 5, 2), np.float32)
    )

    assert sorted(matched(predictions, found)) == [(0, 1), (1, 0)]


def test_far_and_differently_large_boxes_are_not_the_same_face() -> None:
    found = Detections(
        np.float32([[40, 0, 50, 10], [-15, -15, 25, 25]]), np.float32([0.9, 0.9]), np.zeros((2, 5, 2), np.float32)
    )

    assert matched(np.float32([[0, 0, 10, 10]]), found) == []


def test_two_people_are_two_tracks_and_the_larger_comes_first(detector: FaceDetector) -> None:
    pictures = [scene(640, 360, [(20 + 4 * k, 100, 130), (330, 30, 280)]) for k in range(12)]
    seen = find_faces(frames_of(pictures), FaceSpec(), detector)

    assert [len(track.seconds) for track in seen.tracks] == [12, 12]
    assert seen.frames_looked_at == seen.frames_with_face == 12
    assert seen.picture_size == (640, 360)
    large, small = seen.tracks
    assert np.ptp(large.boxes[:, 0]) < 8 < np.ptp(small.boxes[:, 0])
    assert large.crops.shape == (12, 224, 224, 3)


def test_thirty_people_are_thirty_tracks(detector: FaceDetector) -> None:
    places = [(16 + 206 * (k % 6), 4 + 142 * (k // 6), 140) for k in range(30)]
    picture = scene(1280, 720, places)
    seen = find_faces(frames_of([picture] * 5), FaceSpec(detect_side=1280), detector)

    assert len(seen.tracks) == 30
    assert seen.frames_with_face == 5
    assert all(1 <= len(track.crops) < 5 for track in seen.tracks)  # of a crowd not every sighting is cut out


def test_windows_and_whole_pictures_see_the_same(detector: FaceDetector) -> None:
    pictures = [scene(640, 360, [(100 + 6 * k, 60, 220)]) for k in range(9)]
    often, seldom = (
        find_faces(frames_of(pictures), FaceSpec(scan_every=every), detector).tracks[0] for every in (1, 8)
    )

    assert often.seconds.tolist() == seldom.seconds.tolist()
    assert np.abs(often.boxes - seldom.boxes).max() < 0.08 * 220


def test_a_face_that_appears_in_an_empty_picture_is_found_at_once(detector: FaceDetector) -> None:
    pictures = [scene(320, 240, [])] * 5 + [scene(320, 240, [(80, 40, 140)])] * 6
    (track,) = find_faces(frames_of(pictures), FaceSpec(), detector).tracks

    assert track.seconds[0] <= 7 / 8  # at most two frames late: an empty scene is looked at every 0.3 s
    assert len(track.seconds) >= 4


def test_a_cut_begins_a_new_track_even_at_the_same_place(detector: FaceDetector) -> None:
    one = scene(320, 240, [(80, 40, 140)])
    other = 255 - scene(320, 240, [])
    other[40:180, 80:220] = scene(320, 240, [(80, 40, 140)])[40:180, 80:220] // 2
    seen = find_faces(frames_of([one] * 5 + [other] * 5), FaceSpec(), detector)

    assert is_cut(one[::6, ::5, 1], other[::6, ::5, 1])
    assert sorted(len(track.seconds) for track in seen.tracks) == [5, 5]


def test_a_new_picture_size_begins_new_tracks_and_boxes_stay_inside(detector: FaceDetector) -> None:
    pictures = [scene(640, 360, [(150, 60, 240)])] * 4 + [scene(320, 180, [(75, 30, 120)])] * 4
    seen = find_faces(frames_of(pictures), FaceSpec(), detector)

    assert len(seen.tracks) == 2
    assert seen.tracks[1].boxes[:, 2].max() < 320


def test_a_picture_that_is_held_is_searched_once_and_seen_at_every_moment(detector: FaceDetector) -> None:
    asked: list[int] = []

    class Counting:
        def detect(self, pixels: PixelArray) -> Detections:
            asked.append(pixels.size)
            return detector.detect(pixels)

    picture = scene(640, 480, [(40, 60, 160), (380, 200, 120)])
    held = find_faces((Frame(picture, k / 8) for k in range(48)), FaceSpec(), Counting())
    asked_of_held, asked[:] = len(asked), []
    anew = find_faces(frames_of([picture] * 48), FaceSpec(), Counting())

    assert asked_of_held < len(asked) / 3
    assert held.frames_with_face == anew.frames_with_face == 48
    for one, other in zip(held.tracks, anew.tracks, strict=True):
        for name in ("seconds", "boxes", "landmarks", "scores", "crops"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_what_is_seen_too_briefly_is_no_face_unless_the_clip_is_that_short() -> None:
    face, nothing = [(40.0, 40.0, 100.0, 100.0)], []
    picture = np.full((200, 200, 3), 90, np.uint8)
    short = find_faces(frames_of([picture] * 8), WHOLE_PICTURE, Scripted([face, face, nothing]))
    single = find_faces(frames_of([picture]), WHOLE_PICTURE, Scripted([face]))

    assert (len(short.tracks), short.frames_with_face, short.frames_looked_at) == (0, 0, 8)
    assert (len(single.tracks), single.frames_with_face) == (1, 1)


def test_faces_that_are_gone_at_once_are_not_kept_and_not_denied() -> None:
    # A cut every second frame: no face is seen three times.
    places = [(20.0 + 90 * (k // 2 % 2), 20.0, 80.0 + 90 * (k // 2 % 2), 90.0) for k in range(12)]
    shots = [np.full((120, 200, 3), 40 + 150 * (k // 2 % 2), np.uint8) for k in range(12)]

    seen = find_faces(frames_of(shots), WHOLE_PICTURE, Scripted([[place] for place in places]))

    assert (seen.tracks, seen.frames_with_face, seen.frames_glimpsed) == ((), 0, 12)
    assert no_face_note(12, 12).text == (
        "faces are seen in 12 of the 12 frames that were looked at, but none stays long enough to be followed"
    )
    assert no_face_note(12, 2).text == "no face was found in the 12 frames that were looked at"


def test_a_face_that_comes_back_within_the_gap_is_the_same_one() -> None:
    face, nothing = [(40.0, 40.0, 100.0, 100.0)], []
    picture = np.full((200, 200, 3), 90, np.uint8)
    answers = [face, face, face, nothing, nothing, nothing, face, face]

    class ByFrame(Scripted):
        def detect(self, pixels: np.ndarray) -> Detections:
            self.calls = int(pixels[0, 0, 0])  # the frame's number is painted on it
            return super().detect(pixels)

    pictures = [np.maximum(picture * 0, np.uint8(k)) for k in range(8)]
    seen = find_faces(frames_of(pictures), WHOLE_PICTURE, ByFrame(answers))
    strict = find_faces(
        frames_of(pictures), WHOLE_PICTURE.model_copy(update={"max_gap_seconds": 0.2}), ByFrame(answers)
    )

    assert [len(track.seconds) for track in seen.tracks] == [5]
    assert [len(track.seconds) for track in strict.tracks] == [3]  # the second part is too short to count


@pytest.mark.parametrize(
    ("spec", "box"),
    [
        (FaceSpec(), (10.0, 10.0, 30.0, 30.0)),  # 20 pixels: too small
        (FaceSpec(min_share=0.5), (10.0, 10.0, 90.0, 90.0)),  # 80 of 200: a logo by this gate
    ],
)
def test_small_faces_do_not_pass_the_gate(spec: FaceSpec, box: tuple[float, float, float, float]) -> None:
    picture = np.full((200, 200, 3), 90, np.uint8)

    assert find_faces(frames_of([picture] * 6), spec, Scripted([[box]])).tracks == ()


def test_unsure_faces_do_not_begin_a_track_and_a_mean_score_is_asked_for() -> None:
    picture, face = np.full((200, 200, 3), 90, np.uint8), [(40.0, 40.0, 100.0, 100.0)]

    assert find_faces(frames_of([picture] * 6), FaceSpec(), Scripted([face], score=0.65)).tracks == ()
    wavering = FaceSpec(start_score=0.5, min_mean_score=0.6)
    assert find_faces(frames_of([picture] * 6), wavering, Scripted([face], score=0.55)).tracks == ()
    assert len(find_faces(frames_of([picture] * 6), wavering, Scripted([face], score=0.7)).tracks) == 1


def test_memory_is_bounded_and_what_is_kept_is_evenly_spread() -> None:
    picture, face = np.full((64, 64, 3), 90, np.uint8), [(8.0, 8.0, 56.0, 56.0)]
    spec = FaceSpec(scan_every=1, crop_size=16, max_sightings=10)
    seen = find_faces(frames_of([picture] * 1000), spec, Scripted([face]))
    (track,) = seen.tracks
    gaps = np.diff(track.seconds)

    assert 5 <= len(track.seconds) <= 10
    assert gaps == pytest.approx(np.full(len(gaps), gaps[0]))
    assert (seen.frames_looked_at, seen.frames_with_face) == (1000, 1000)


def test_many_cuts_leave_out_the_least_prominent_faces_and_say_so() -> None:
    pictures = [np.full((64, 64, 3), 60 + 120 * (k // 4 % 2), np.uint8) for k in range(400)]
    spec = FaceSpec(scan_every=1, crop_size=16, max_crops=32)
    seen = find_faces(frames_of(pictures), spec, Scripted([[(8.0, 8.0, 56.0, 56.0)]]))

    assert sum(len(track.crops) for track in seen.tracks) <= 32
    assert len(seen.tracks) + seen.tracks_left_out == 100
    assert seen.frames_with_face == 400


def test_no_frames_is_nothing_seen() -> None:
    seen = find_faces([], FaceSpec(), Scripted([[]]))

    assert (seen.tracks, seen.frames_looked_at, seen.picture_size) == ((), 0, None)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="margin"):
        FaceSpec.model_validate({"margin": 2})


# crops


@given(st.floats(-1.5, 1.5), st.floats(20, 90), st.floats(-50, 250), st.floats(-50, 250), st.integers(16, 300))
@settings(max_examples=25, deadline=None)
def test_points_go_to_the_picture_and_back(turn: float, side: float, x: float, y: float, size: int) -> None:
    square = Square(x, y, side, turn)
    points = np.float32([[0, 0], [size, 0], [size / 3, size / 2]])

    assert square.from_picture(square.to_picture(points, size), size) == pytest.approx(points, abs=1e-2)


def test_a_crop_is_what_point_by_point_sampling_gives() -> None:
    y, x = np.mgrid[0:120, 0:160]
    picture = np.stack([x, y, (x + y) / 2], axis=2).astype(np.uint8)  # linear: any interpolation is exact
    square = Square(80, 60, 60, 0.3)
    crop = cut_square(picture, square, 40)
    centres = np.stack(np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5), axis=-1).astype(np.float32)
    expected = square.to_picture(centres, 40) - 0.5

    assert crop[..., 0] == pytest.approx(expected[..., 0], abs=1.01)
    assert crop[..., 1] == pytest.approx(expected[..., 1], abs=1.01)


def test_shrinking_counts_every_pixel() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[::2] = 200  # a pattern that sampling alone would turn into black or white

    assert cut_square(picture, Square(128, 128, 256), 64)[8:-8, 8:-8] == pytest.approx(100, abs=2)


def test_any_region_equals_its_pixels_picked_one_by_one() -> None:
    from ffdv.features.crops import _region

    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 40, 2))
        pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        left, top, side = (int(number) for number in (*rng.integers(-30, 60, 2), rng.integers(1, 60)))
        rows = np.clip(np.arange(top, top + side), 0, height - 1)
        columns = np.clip(np.arange(left, left + side), 0, width - 1)

        assert (_region(pixels, left, top, side) == pixels[rows[:, None], columns[None]]).all()


def test_beyond_the_picture_its_edge_goes_on() -> None:
    picture = np.full((50, 50, 3), 70, np.uint8)

    assert (cut_square(picture, Square(0, 0, 100), 32) == 70).all()


@pytest.mark.parametrize("degrees", [-60, -20, 0, 35, 90])
def test_a_leaning_face_is_turned_upright(degrees: float) -> None:
    upright = np.float32([[-10, -10], [10, -10], [0, 0], [-8, 11], [8, 11]])
    angle = math.radians(degrees)
    turned = upright @ np.float32([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])

    assert math.degrees(roll(turned + 100)) == pytest.approx(degrees, abs=0.5)
    assert roll(np.full((5, 2), np.nan, np.float32)) == 0.0


def test_the_margin_is_what_it_says(detector: FaceDetector) -> None:
    picture = scene(400, 400, [(60, 60, 280)])
    found = detector.detect(picture)
    square = face_square(found.boxes[0], found.landmarks[0], 1.3)
    again = detector.detect(cut_square(picture, square, 224)).boxes[0]

    assert max(again[2] - again[0], again[3] - again[1]) * 1.3 == pytest.approx(224, rel=0.1)


def test_a_square_at_the_edge_moves_inside_but_not_far() -> None:
    near = moved_inside(Square(45, 50, 100), 200, 200)
    far = moved_inside(Square(0, 50, 100), 200, 200)
    huge = moved_inside(Square(50, 50, 400), 100, 100)

    assert (near.x, near.y) == pytest.approx((50, 50))
    assert far.x == pytest.approx(15)  # MAX_SHIFT of its side
    assert (huge.x, huge.y) == (50, 50)


# the mesh


def test_the_mesh_sees_the_mouth_open(detector: FaceDetector, face_mesh: FaceMesh) -> None:
    openings = []
    for mouth in (0.0, 0.5, 1.0):
        picture = scene(400, 400, [(60, 60, 280)], mouth=mouth)
        found = detector.detect(picture)
        (mesh,) = face_mesh.find(picture, [face_square(found.boxes[0], found.landmarks[0], MESH_MARGIN)])
        openings.append(mesh.mouth_opening())
        assert mesh.presence > 0.9
        assert np.abs(mesh.five_points() - found.landmarks[0]).mean() < 0.06 * mesh.eye_distance + 6

    assert openings[0] < 0.06
    assert openings == sorted(openings)
    assert openings[2] > openings[0] + 0.04


def test_inner_lips_lie_within_the_outer_ones(detector: FaceDetector, face_mesh: FaceMesh) -> None:
    picture = scene(400, 400, [(60, 60, 280)], mouth=1.0)
    found = detector.detect(picture)
    (mesh,) = face_mesh.find(picture, [face_square(found.boxes[0], found.landmarks[0], MESH_MARGIN)])
    outer, inner = mesh.points[list(OUTER_LIPS), :2], mesh.points[list(INNER_LIPS), :2]

    assert (inner.min(axis=0) > outer.min(axis=0) - 1).all()
    assert (inner.max(axis=0) < outer.max(axis=0) + 1).all()
    assert np.ptp(inner, axis=0)[0] > 0.6 * np.ptp(outer, axis=0)[0]


def test_the_mesh_does_not_depend_on_where_the_face_is(face_mesh: FaceMesh, detector: FaceDetector) -> None:
    picture = scene(400, 400, [(60, 60, 280)])
    found = detector.detect(picture)
    square = face_square(found.boxes[0], found.landmarks[0], MESH_MARGIN)
    (here,) = face_mesh.find(picture, [square])
    (there,) = face_mesh.find(
        np.roll(picture, (11, 23), (0, 1)), [Square(square.x + 23, square.y + 11, square.side, square.turn)]
    )

    assert np.abs(there.points[:, :2] - here.points[:, :2] - np.float32([23, 11])).max() < 1.0


def test_between_sightings_the_place_is_interpolated_and_far_from_them_unknown() -> None:
    track = FaceTrack(
        0,
        np.array([0.0, 1.0]),
        np.float32([[0, 0, 10, 10], [20, 0, 40, 20]]),
        np.full((2, 5, 2), np.nan, np.float32),
        np.float32([0.9, 0.9]),
        np.zeros((2, 4, 4, 3), np.uint8),
    )
    middle = square_at(0.5, track)

    assert middle is not None
    assert (middle.x, middle.y, middle.side) == pytest.approx((17.5, 7.5, 15 * MESH_MARGIN))
    assert square_at(1.6, track) is None


# the whole road


def test_extract_finds_faces_when_asked(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "talk.mp4",
        frames=[scene(320, 240, [(80 + k, 40, 160)]) for k in range(30)],
        sound=Samples(np.zeros((1, 19_200), np.float32), 16_000),
        fps=25,
    )
    seen = extract(path, ExtractSpec(faces=FaceSpec())).faces
    unasked = extract(path, ExtractSpec())

    assert seen is not None
    assert (len(seen.tracks), seen.frames_looked_at) == (1, 10)
    assert seen.tracks[0].seconds == pytest.approx(np.arange(10) / 8)
    assert unasked.faces is None


def test_extract_says_why_there_are_no_faces(tmp_path: Path) -> None:
    sound = Samples(np.random.default_rng(0).normal(0, 0.1, (1, 16_000)).astype(np.float32), 16_000)
    empty = write_media(tmp_path / "empty.mp4", frames=[scene(160, 120, [])] * 10, sound=sound, fps=25)
    blind = write_media(tmp_path / "blind.wav", sound=sound)
    spec = ExtractSpec(faces=FaceSpec())

    assert [note.code for note in extract(empty, spec).notes] == ["no_face"]
    assert [note.code for note in extract(blind, spec).notes] == ["no_picture"]
    assert extract(blind, spec).faces is None


@pytest.mark.data
@pytest.mark.slow
def test_real_clips_show_a_face_and_a_mesh(shared_data: Path, detector: FaceDetector, face_mesh: FaceMesh) -> None:
    with (shared_data / "video" / "train" / "manifest.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file)][::40]
    for name in names:
        with open_media(shared_data / "video" / "train" / name) as media:
            frames = list(read_frames(media, fps=8, stop_seconds=1.5))
        seen = find_faces(frames, FaceSpec(), detector)
        assert seen.tracks, name
        assert seen.frames_with_face == seen.frames_looked_at
        track = seen.tracks[0]
        (mesh,) = face_mesh.find(frames[0].pixels, [face_square(track.boxes[0], track.landmarks[0], MESH_MARGIN)])
        assert mesh.presence > 0.5


def test_the_crops_size_changes_the_crops_alone() -> None:
    pictures = [scene(320, 240, [(80, 40, 140)])] * 4
    small, large = (
        find_faces(frames_of(pictures), FaceSpec(crop_size=size), make_face_detector()).tracks[0] for size in (64, 256)
    )

    assert np.array_equal(small.boxes, large.boxes)
    assert (small.crops.shape[1], large.crops.shape[1]) == (64, 256)


def test_frames_are_looked_at_once_and_in_order() -> None:
    taken = []

    def watched() -> object:
        for k in range(5):
            taken.append(k)
            yield Frame(np.zeros((40, 40, 3), np.uint8), k / 8)

    find_faces(watched(), FaceSpec(), Scripted([[]]))  # type: ignore[arg-type]

    assert taken == [0, 1, 2, 3, 4]
