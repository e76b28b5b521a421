"""What is computed of a step is what its layers do."""

import json
import math
import sys

import pytest
from mmengine.config import Config
from scripts import load_script
from torch.nn.modules.batchnorm import _BatchNorm


@pytest.fixture(scope='module')
def arithmetic():
    return load_script('tools/benchmarks/arithmetic.py')


@pytest.fixture(scope='module')
def sketch(arithmetic, root):
    """Of the paper's model."""
    return arithmetic.Sketch(Config.fromfile(root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py'))


def by_hand():
    """MACs of the online forward of an image: three views of 224, 224 and 112 px, four boxes each."""

    def of_view(side):
        sides = [math.ceil(side / stride) for stride in (4, 8, 16, 32)]
        total = (side // 2) ** 2 * 64 * 3 * 49
        entering, width, before = 64, 64, sides[0]
        for blocks, here in zip((3, 4, 6, 3), sides, strict=True):
            for block in range(blocks):
                # The stride is the 3x3 convolution's: a stage's first 1x1 sees the map before.
                total += before**2 * entering * width + here**2 * (9 * width**2 + width * 4 * width)
                total += here**2 * entering * 4 * width if not block else 0
                entering, before = 4 * width, here
            width *= 2
        for here, channels in zip(sides, (256, 512, 1024, 2048), strict=True):
            total += here**2 * (channels * 256 + 9 * 256 * 256)
        return total

    box = 4 * 49 * 9 * 256 * 256 + 49 * 256 * 1024 + 1024 * 4096 + 4096 * 256
    return 2 * of_view(224) + of_view(112) + 3 * 4 * box


def test_macs(arithmetic, sketch):
    macs = arithmetic.count_macs(sketch)
    assert macs['online'] == pytest.approx(by_hand(), rel=1e-9)
    predictor = 12 * (256 * 4096 + 4096 * 256)
    # The figures for the log are products, too: 1 in 1,000.
    assert macs['forward'] == pytest.approx(2 * macs['online'] + predictor, rel=1e-3)
    # Each product has two in the backward, but the images have no gradient.
    first = (2 * 112**2 + 56**2) * 64 * 3 * 49
    assert macs['backward'] == pytest.approx(2 * (macs['online'] + predictor) - first, rel=1e-3)
    assert macs['step'] == macs['forward'] + macs['backward']
    assert round(macs['online'] / 1e9, 1) == 17.3 and round(macs['step'] / 1e9) == 69


def test_traffic(arithmetic, sketch):
    online = sum(p.numel() for p in sketch.model.parameters() if p.requires_grad)
    sent = arithmetic.traffic(sketch, gpus=16, images=128)
    assert sent['gradients'] == pytest.approx(online * 4 * 2 * 15 / 16)
    assert sent['embeddings'] == pytest.approx(15 * 128 * 4 * 3 * 256 * 4)
    norms = [m for name, m in sketch.model.named_modules() if isinstance(m, _BatchNorm)]
    assert sent['norms'] == 3 * len(norms)
    features = 3 * sum(m.num_features for m in norms)
    of_online = 3 * sum(
        m.num_features
        for name, m in sketch.model.named_modules()
        if isinstance(m, _BatchNorm) and not name.startswith('target.')
    )
    forwards = 15 * 4 * (2 * features + 3 * len(norms))
    assert sent['statistics'] == pytest.approx(forwards + 2 * 15 / 16 * 4 * 2 * of_online)


def test_alone_sends_nothing(arithmetic, sketch):
    sent = arithmetic.traffic(sketch, gpus=1, images=128)
    assert (sent['gradients'], sent['statistics'], sent['embeddings']) == (0, 0, 0)


def test_hours(arithmetic):
    # 1,281,167 images at 2 FLOP each, one a second on each of two cards.
    assert arithmetic.hours(1, epochs=1, gpus=2, rate=2) == pytest.approx(1_281_167 / 2 / 3600)


def test_tables(arithmetic, capsys):
    figures = dict(
        macs=dict(online=1e9, forward=2e9, backward=3e9, step=5e9),
        traffic=dict(norms=7, gradients=8e6, statistics=9e5, embeddings=1e6),
    )
    arithmetic.print_tables(figures, gpus=8, utilisation=0.5, per_core=100)
    printed = capsys.readouterr().out
    assert '| step | 5.0 | 10.0 |' in printed and '| gradients | 8.0 |' in printed
    # 156e12 / 10e9 images/s.
    assert f'| A100 | 312 | 15600 | 156.0 | {128_116_700 / (8 * 15600) / 3600:.1f} |' in printed


@pytest.mark.slow
def test_json(arithmetic, monkeypatch, capsys, root):
    config = str(root / 'configs/soco/soco_r18fpn_8xb256_100e_in1k.py')
    monkeypatch.setattr(sys, 'argv', ['arithmetic.py', '--config', config, '--json'])
    with pytest.raises(SystemExit) as end:
        arithmetic.main()
    assert not end.value.code
    figures = json.loads(capsys.readouterr().out)
    assert figures['macs']['step'] == figures['macs']['forward'] + figures['macs']['backward']
