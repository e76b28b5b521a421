#!/usr/bin/env python
"""Bytes of activations that a picture keeps for the gradient, by precision and by what is recomputed.

python tools/benchmarks/memory.py configs/soco/soco_r50fpn_8xb256_100e_in1k.py
"""

import argparse
import copy
import json
import math

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map_only

from mmsoco.arguments import names, positive
from mmsoco.config import add_config_arguments, is_pretraining, read_config
from mmsoco.errors import UserError, command
from mmsoco.models.recomputing import recompute
from mmsoco.registry import MODELS

GIB = 2**30
#: What CUDA, its libraries' workspaces and the batch itself are allowed, in GiB; ours.
ASIDE = 3.0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Let the shapes of two small batches run forward, count what autograd keeps, each storage once and '
        'without the parameters, and take the difference; then compute what batch fits. A GPU keeps the same tensors, '
        'up to what its own kernels add.'
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--recompute',
        type=names,
        action='append',
        metavar='PART,PART',
        help='parts of RecomputeHook; may be given several times (default: backbone; backbone,roi_head)',
    )
    parser.add_argument('--memory', type=positive, default=24, help='of a card, in GiB (default 24)')
    parser.add_argument('--cards', type=positive, default=8, help='that share the total batch (default 8)')
    parser.add_argument('--quick', action='store_true', help="at a quarter of the views' sides, to try the command")
    parser.add_argument('--json', action='store_true', help='print one line of JSON')
    return parser.parse_args()


def batch_of(cfg: Config, images: int, scale: int) -> dict:
    """Noise in the views of a config, with boxes in it."""
    views = cfg.train_dataloader.dataset.pipeline.multi_view
    sizes = {name: max(view.size // scale, 32) for name, view in views.views.items() if view is not None}
    channels = len(cfg.model.data_preprocessor.get('mean', (0, 0, 0)))
    generator = torch.Generator().manual_seed(0)
    boxes, number = {}, views.num_proposals
    for name, size in sizes.items():
        corners = torch.rand(images, number, 2, 2, generator=generator) * (size - 1)
        boxes[name] = {'all': torch.cat([corners.amin(2), corners.amax(2) + 1], dim=2)}
    return {
        'inputs': {
            name: torch.randint(0, 256, (images, size, size, channels), dtype=torch.uint8, generator=generator)
            for name, size in sizes.items()
        },
        'boxes': boxes,
        'matches': {'all': {tuple(pair): torch.full((images,), number) for pair in views.pairs}},
    }


def kept(model: nn.Module, batch: dict, amp: bool) -> int:
    """Bytes that the forward of a batch leaves for the gradient."""
    # Tensors of shapes and layouts alone: nothing is computed.
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    tensors = [*model.parameters(), *model.buffers()]
    # Held, so that nothing else takes their places.
    tensors += [mode.from_tensor(tensor) for tensor in tensors]
    own = {tensor.untyped_storage()._cdata for tensor in tensors}
    found: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage  # held, so that no other one takes its place
        return tensor

    batch = tree_map_only(torch.Tensor, mode.from_tensor, batch)
    with (
        mode,
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast('cpu', torch.bfloat16, enabled=amp),
    ):
        losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    size = sum(storage.nbytes() for storage in found.values())
    del losses
    return size


def held(model: nn.Module, optimizer: str) -> int:
    """Bytes of parameters, gradients, the optimizer's state and the target, whatever the batch."""
    states = 2 if optimizer.startswith('Adam') else 1
    return sum(p.nbytes * (2 + states if p.requires_grad else 1) for p in model.parameters())


def fitting(memory: int, fixed: int, each: float, total: int, cards: int) -> tuple[int, int]:
    """Images that fit at a time, and into how many batches a card's share of the total is divided for that."""
    fits = math.floor((memory * GIB - ASIDE * GIB - fixed) / each)
    share = total // cards
    parts = [n for n in range(1, share + 1) if share % n == 0 and share // n <= fits]
    return fits, parts[0] if parts else 0


@command
def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options, args.work_dir)
    if not is_pretraining(cfg):
        raise UserError(f'{args.config} is no pretraining; give one of configs/soco')
    init_default_scope(cfg.default_scope)
    choices = [(), *(args.recompute or [('backbone',), ('backbone', 'roi_head')])]
    rows = measured(cfg, choices, args)
    if args.json:
        print(json.dumps(dict(memory_gib=args.memory, cards=args.cards, total=cfg.total_batch_size, rows=rows)))
        return
    print(f'Counted: what an image keeps. Computed, of {args.memory} GiB less {ASIDE:g}: images that fit a card, and')
    print(f'--accumulate for {cfg.total_batch_size} images on {args.cards} cards.')
    print('| recomputed | precision | MB an image | MB of weights, gradients, optimizer | fit a card | --accumulate |')
    print('|---|---|---|---|---|---|')
    for row in rows:
        print(
            f'| {", ".join(row["recomputed"]) or "nothing"} | {row["precision"]} | {row["mb_an_image"]:.1f} | '
            f'{row["fixed_mb"]:.0f} | {row["fits"]} | {row["accumulate"] or "does not fit"} |'
        )


def measured(cfg: Config, choices: list[tuple[str, ...]], args: argparse.Namespace) -> list[dict]:
    """A row for each choice of parts and precision."""
    batches = [batch_of(cfg, images, 4 if args.quick else 1) for images in (2, 4)]
    rows = []
    for parts in choices:
        model = MODELS.build(copy.deepcopy(cfg.model)).train()
        recompute(model, parts)
        for amp in (False, True):
            less, more = (kept(model, batch, amp) for batch in batches)
            each, fixed = (more - less) / 2, held(model, cfg.optim_wrapper.optimizer.type)
            fits, parts_of_share = fitting(args.memory, fixed, each, cfg.total_batch_size, args.cards)
            precision = 'bf16' if amp else 'fp32'
            rows.append(dict(recomputed=list(parts), precision=precision, mb_an_image=each / 1e6, fixed_mb=fixed / 1e6))
            rows[-1] |= dict(fits=fits, accumulate=parts_of_share)
    return rows


if __name__ == '__main__':
    main()
