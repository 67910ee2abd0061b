"""The script of the picture weights: only open rows teach, forgeries are repeatable, and it measures what the sense says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "weights"))
import picture  # noqa: E402 -- scripts are no package
import picture_forgeries as forgeries  # noqa: E402

from ffdv.detect.looking import Look, LookSpec  # noqa: E402
from ffdv.detect.picture import PictureSense, shipped_net, shipped_weights  # noqa: E402
from ffdv.detect.picture_model import PastedNet  # noqa: E402
from ffdv.detect.senses import SenseOpinion  # noqa: E402
from ffdv.features.landmarks import FACE_OVAL  # noqa: E402

DATA = ROOT.parent / "shared" / "data"


def a_row(*, is_open: bool) -> picture.Row:
    return picture.Row(Path("clip.mp4"), 0, "real", "somebody", "someone/something", is_open)


def a_portrait(seed: int) -> forgeries.Portrait:
    rng = np.random.default_rng(seed)
    mesh = rng.uniform(50, 110, (468, 2))
    angle = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    mesh[list(FACE_OVAL)] = np.stack([80 + 40 * np.cos(angle), 80 + 45 * np.sin(angle)], axis=1)
    return forgeries.Portrait(rng.integers(40, 200, (160, 160, 3), dtype=np.uint8), mesh)


def test_closed_rows_are_refused_by_name() -> None:
    assert len(picture.refuse_closed([a_row(is_open=True)])) == 1

    with pytest.raises(ValueError, match=r"clip\.mp4: .*open = 0"):
        picture.refuse_closed([a_row(is_open=True), a_row(is_open=False)])


@pytest.mark.parametrize("seed", range(4))
def test_forgeries_change_the_face_leave_its_surroundings_and_are_repeatable(seed: int) -> None:
    target, donor = a_portrait(1), a_portrait(2)

    def forged(kind: str) -> np.ndarray:
        rng = np.random.default_rng(seed)
        if kind == "swapped":
            return forgeries.swapped(target, donor, rng)
        return forgeries.redrawn(target, rng)

    for kind in ("swapped", "redrawn"):
        result = forged(kind)
        changed = np.abs(result.astype(int) - target.pixels).mean(axis=2)
        assert changed[60:110, 60:100].mean() > 2
        assert changed[:8].max() == changed[-8:].max() == 0
        assert (result == forged(kind)).all()


def test_wear_tells_nothing_of_the_class() -> None:
    pixels = a_portrait(0).pixels

    one, other = (forgeries.worn(pixels, np.random.default_rng(5)) for _ in range(2))

    assert (one == other).all()
    assert one.shape == pixels.shape


def test_the_exported_net_says_what_torch_says_and_pads_inside_its_convolutions(tmp_path: Path) -> None:
    net = picture.PastedFaceNet().eval()
    crops = np.random.default_rng(0).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)

    picture.export(net, tmp_path / "net.onnx", {})

    with torch.no_grad():
        logits, maps = net(torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32)))
    exported = PastedNet((tmp_path / "net.onnx").read_bytes()).look(crops)
    np.testing.assert_allclose(exported[0], logits.numpy(), atol=1e-3)
    np.testing.assert_allclose(exported[1], maps.numpy(), atol=1e-3)
    assert not {"Pad", "Shape"} & {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}


def test_members_start_alike_and_become_one_net_by_the_mean_of_their_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(picture, "TRIPLETS", 2)
    monkeypatch.setattr(picture, "EPOCHS", 1)
    crops = np.random.default_rng(0).integers(0, 256, (6, 160, 160, 3), dtype=np.uint8)
    np.save(tmp_path / "0.npy", crops)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_, **__: None)

    one, other = (picture.train([tmp_path / "0.npy"], seed) for seed in (1, 2))
    assert all(torch.equal(one[name], other[name]) for name in one)

    mean = picture.averaged([one, {**other, "head.weight": other["head.weight"] + 2.0}])
    torch.testing.assert_close(mean.head.weight.data, one["head.weight"] + 1.0)
    torch.testing.assert_close(mean.stem.weight.data, one["stem.weight"])


@pytest.mark.data
@pytest.mark.slow
def test_the_script_measures_what_the_sense_says() -> None:
    clips = sorted((DATA / "video" / "train").glob("*.mp4"))
    if not clips:
        pytest.skip("needs ../shared/data/video/train")
    with Look(clips[0], LookSpec(threads=1)) as look:
        looked = next(iter(look.pieces()))
    faces, head = looked.features.faces, looked.head
    assert faces is not None
    assert head is not None
    assert faces.picture_size is not None
    opinion = PictureSense().judge(looked)

    numbers = picture.numbers_of(picture.Seen(faces.tracks[0], head, faces.picture_size), shipped_net())

    assert isinstance(opinion, SenseOpinion)
    assert opinion.track_probabilities
    assert shipped_weights().logit(numbers) == pytest.approx(opinion.logit, abs=1e-6)
