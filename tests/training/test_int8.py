"""Weights in eight bits: a smaller file that computes what the rounded net computes, and says what that cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_corpus import corpus_clips, tiny_recipe, write_shards
from torch import nn

from ffdv.data.shards import open_shards
from ffdv.errors import CheckpointError
from ffdv.models.checkpoint import load_checkpoint
from ffdv.training.export import export
from ffdv.training.int8 import STEPS, read_int8_loss, rounded
from ffdv.training.kinds import restore_net
from ffdv.training.run import train


def test_each_channel_is_rounded_to_its_own_steps_and_narrow_layers_stay() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 32, 3), nn.BatchNorm2d(32), nn.Linear(128, 16))
    with torch.no_grad():
        net[1].weight[4] *= 100.0
        net[1].weight[5] = 0.0

    small = rounded(net, net.state_dict())

    for name in ("0.weight", "1.bias", "2.weight", "2.running_var", "3.bias"):
        assert torch.equal(small[name], net.state_dict()[name]), name
    for name in ("1.weight", "3.weight"):
        was, now = net.state_dict()[name].flatten(1), small[name].flatten(1)
        step = was.abs().amax(dim=1, keepdim=True) / STEPS
        assert ((was - now).abs() <= step / 2 + 1e-7).all()
        assert not torch.equal(was, now)
        assert max(len(channel.unique()) for channel in now) <= 2 * STEPS + 1


def test_a_net_without_large_weights_is_refused() -> None:
    net = nn.Linear(8, 2)
    with pytest.raises(CheckpointError, match="eight bits would save nothing"):
        rounded(net, net.state_dict())


@pytest.mark.slow
def test_the_file_is_smaller_computes_the_rounded_net_and_says_what_that_cost(tmp_path: Path) -> None:
    data = write_shards(tmp_path / "shards", corpus_clips(96))
    run = tmp_path / "run"
    train(tiny_recipe(model={"backbone": "resnet10t"}, training={"epochs": 2}), data=data, out=run, export=False)
    with pytest.raises(CheckpointError, match="give --data SHARDS"):
        export(run, int8=True)

    whole, path = export(run), export(run, int8=True, data=data)

    assert path == run / "model-int8.onnx"
    assert path.stat().st_size < 0.35 * whole.stat().st_size
    stored = [one.data_type for one in onnx.load(path).graph.initializer]
    assert stored.count(onnx.TensorProto.INT8) >= 10
    checkpoint = load_checkpoint(run / "best.safetensors")
    net = restore_net(checkpoint)
    net.load_state_dict(rounded(net, checkpoint.tensors))
    samples = 0.1 * torch.randn(3, 3200, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits = net(samples)
    said = onnxruntime.InferenceSession(path).run(["logit"], {"samples": samples.numpy()})[0]
    assert said == pytest.approx((logits[:, 1] - logits[:, 0]).numpy(), abs=1e-3)
    loss = read_int8_loss(path)
    labels = open_shards(data).labels
    assert (loss.num_real, loss.num_fake) == (int((labels[72:] == 0).sum()), int((labels[72:] == 1).sum()))
    assert loss.difference[0] == pytest.approx(loss.auc_after - loss.auc_before)
    assert 0 < loss.largest_move < 2
    assert np.isfinite(loss.difference).all()
    with pytest.raises(CheckpointError, match="leave --data out"):
        export(run, data=data)
    with pytest.raises(CheckpointError, match="was not exported with --int8"):
        read_int8_loss(whole)
