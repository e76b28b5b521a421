#!/usr/bin/env python
"""What a step costs, computed from the model alone: the tables of docs/performance.md that say *computed*.

python tools/benchmarks/arithmetic.py

Nothing is run and no device is needed: the model is built without weights, and its step goes through tensors
without values, whose operations torch counts.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from mmsoco.arguments import positive
from mmsoco.config import read_config
from mmsoco.errors import command
from mmsoco.registry import MODELS

CONFIG = Path(__file__).parents[2] / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py'
#: Images of ImageNet's training set.
IMAGENET = 1_281_167
PARTS = {
    'online network, forward': 'online',
    'both networks and predictor, forward': 'forward',
    'backward': 'backward',
    'step': 'step',
}


@dataclass(frozen=True)
class Card:
    """A GPU: what its maker prints, without sparsity.

    Attributes:
        peak: FLOP/s of matrix products in half precision with float32 sums.
    """

    name: str
    peak: float


CARDS = (
    Card('V100', 125e12),
    Card('A100', 312e12),
    Card('H100', 989e12),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compute, and print Markdown tables.')
    parser.add_argument('--config', default=str(CONFIG), help='a pretraining (default: the paper, 100 epochs)')
    parser.add_argument('--gpus', type=positive, default=16, help='for traffic and hours (default 16)')
    parser.add_argument(
        '--utilisation',
        type=float,
        default=0.1,
        metavar='SHARE',
        help="of a card's peak in half precision, for hours and cores (default 0.1, as an H100 reached)",
    )
    parser.add_argument(
        '--per-core', type=float, default=230, metavar='N', help='images/s that a loader core gives (default 230)'
    )
    parser.add_argument('--json', action='store_true', help='print the figures as JSON')
    return parser.parse_args()


class Sketch:
    """A config's model and batches of it, without values.

    Args:
        cfg: Of a pretraining.
    """

    def __init__(self, cfg: Config):
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmsoco')), torch.device('meta'):
            self.model: BaseModel = MODELS.build(cfg.model)
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        with self.mode:
            # Of the device that autocast is to know.
            self.model.to_empty(device='cpu')
        views = cfg.train_dataloader.dataset.pipeline.multi_view
        self.sizes = {name: view.size for name, view in views.views.items() if view is not None}
        self.pairs = [tuple(pair) for pair in views['pairs']]
        self.num_proposals = views.num_proposals

    def batch(self, images: int) -> dict:
        """What the data preprocessor gives; one set of boxes for all pairs."""
        layout = self.model.data_preprocessor.memory_format
        inputs = {
            name: torch.empty(images, 3, size, size).contiguous(memory_format=layout)
            for name, size in self.sizes.items()
        }
        boxes = {name: {'boxes': torch.empty(images, self.num_proposals, 4)} for name in inputs}
        matches = {'boxes': {pair: torch.ones(images, dtype=torch.int64) for pair in self.pairs}}
        return dict(inputs=inputs, boxes=boxes, matches=matches)

    def loss(self, images: int) -> torch.Tensor:
        """The loss of a batch."""
        return self.model.parse_losses(self.model(**self.batch(images), mode='loss'))[0]


def count_macs(sketch: Sketch) -> dict[str, float]:
    """Multiplications with an addition that an image costs: of convolutions and matrix products, which are nearly all.

    Returns:
        ``online``, the online network's forward without its predictor; ``forward`` of both
        networks; ``backward``; ``step``, which is both.
    """
    images, macs = 2, {}
    with sketch.mode:
        batch = sketch.batch(images)
        with FlopCounterMode(display=False) as counter:
            sketch.model(**batch, mode='tensor')
        macs['online'] = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            loss = sketch.loss(images)
            macs['forward'] = counter.get_total_flops()
            loss.backward()
        macs['step'] = counter.get_total_flops()
        macs['backward'] = macs['step'] - macs['forward']
        sketch.model.zero_grad()
    return {name: flops / 2 / images for name, flops in macs.items()}


def traffic(sketch: Sketch, gpus: int, images: int) -> dict[str, float]:
    """Bytes that each of some GPUs sends in a step, of ``images`` each.

    An all-reduce of n bytes sends 2 (G - 1) / G n, an all-gather (G - 1) / G of what is gathered.

    Returns:
        ``gradients``; ``statistics``, of SyncBN: mean, deviation and count forwards, two sums backwards;
        ``embeddings``, the targets that are compared; ``norms``, how many calls of SyncBN there are.
    """
    calls = []
    norms = [m for m in sketch.model.modules() if isinstance(m, _BatchNorm)]
    hooks = [m.register_forward_hook(lambda m, *_: calls.append((m, torch.is_grad_enabled()))) for m in norms]
    with sketch.mode:
        sketch.loss(2)
    for hook in hooks:
        hook.remove()
    share = (gpus - 1) / gpus
    gradients = 2 * share * 4 * sum(p.numel() for p in sketch.model.parameters() if p.requires_grad)
    forwards = sum(share * gpus * 4 * (2 * m.num_features + 1) for m, _ in calls)
    backwards = sum(2 * share * 4 * 2 * m.num_features for m, with_gradient in calls if with_gradient)
    rows = images * sketch.num_proposals * len(sketch.sizes)
    embeddings = share * gpus * 4 * rows * sketch.model.embedding_width
    return dict(gradients=gradients, statistics=forwards + backwards, embeddings=embeddings, norms=len(calls))


def hours(macs: float, epochs: int, gpus: int, rate: float) -> float:
    """Of so many epochs of ImageNet, at ``rate`` FLOP/s a GPU."""
    return epochs * IMAGENET * 2 * macs / (gpus * rate) / 3600


def table(*rows: Iterable) -> None:
    """Print Markdown; the first row is the heading."""
    heading, *others = [' | '.join(f'{c:.3g}' if isinstance(c, float) else str(c) for c in row) for row in rows]
    lines = [heading, ' | '.join(['---'] * len(list(rows[0]))), *others]
    print('\n'.join(f'| {line} |' for line in lines), end='\n\n')


def print_tables(figures: Mapping, gpus: int, utilisation: float, per_core: float) -> None:
    """What main has computed, as Markdown."""
    giga = {name: value / 1e9 for name, value in figures['macs'].items()}
    table(
        ('an image', 'GMAC', 'GFLOP'),
        *((name, f'{giga[key]:.1f}', f'{2 * giga[key]:.1f}') for name, key in PARTS.items()),
    )
    sent = figures['traffic']
    print(f'{sent["norms"]} calls of BN in the forwards of a step. Sent by each of {gpus} GPUs in a step:\n')
    table(('', 'MB'), *((name, f'{sent[name] / 1e6:.1f}') for name in ('gradients', 'statistics', 'embeddings')))
    print(f"At {100 * utilisation:.0f} % of a card's peak in half precision ({per_core:.0f} images/s a loader core):\n")
    table(
        (
            'card',
            'peak, TFLOP/s',
            'images/s a card',
            'loader cores a card',
            f'h, 100 epochs, {gpus} cards',
            '400 epochs',
        ),
        *(
            (
                card.name,
                f'{card.peak / 1e12:.0f}',
                f'{(rate := utilisation * card.peak / 2 / figures["macs"]["step"]):.0f}',
                f'{rate / per_core:.1f}',
                *(
                    f'{hours(figures["macs"]["step"], epochs, gpus, utilisation * card.peak):.1f}'
                    for epochs in (100, 400)
                ),
            )
            for card in CARDS
        ),
    )


def compute(cfg: Config, gpus: int) -> dict:
    """All figures of a pretraining; bytes, and MACs an image."""
    sketch = Sketch(cfg)
    return dict(
        macs=count_macs(sketch),
        traffic=traffic(sketch, gpus, cfg.total_batch_size // gpus),
    )


@command
def main() -> None:
    args = parse_args()
    figures = compute(read_config(args.config), args.gpus)
    if args.json:
        print(json.dumps(figures, indent=1))
    else:
        print_tables(figures, args.gpus, args.utilisation, args.per_core)


if __name__ == '__main__':
    main()
