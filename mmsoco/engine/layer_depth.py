"""How deep in a backbone each parameter lies, for rates that fall towards the input."""

import re
from collections.abc import Sequence

from torch import nn

# A block by itself or in a stage: layer1.0, stages.0.blocks.1, layers.5; of a stage also what is in no block.
_BLOCK = re.compile(r'(?:layers?|stages?|blocks)\.?(\d+)\.(?:(?:blocks\.)?(\d+)\.)?')


def layer_depths(backbone: nn.Module) -> tuple[dict[str, int], int]:
    """Number a backbone's parameters by the block they belong to.

    Backbones of mmpretrain say it themselves; of others, such as mmdet's, names
    tell: what comes before the first block has depth 0, the blocks count on, what
    joins two stages belongs to the block before it, and what stands in no block,
    such as norms of the output, comes last.

    Returns:
        Parameter's name -> depth, and how many depths there are; what is not of the
        backbone has the last one.
    """
    names = [name for name, _ in backbone.named_parameters()]
    if hasattr(backbone, 'get_layer_depth'):
        # ResNet's says nothing of a name without the prefix that it has in a model.
        depths = {name: backbone.get_layer_depth(f'backbone.{name}', 'backbone.') for name in names}
        return {name: depth for name, (depth, _) in depths.items()}, max(
            (count for _, count in depths.values()), default=1
        )
    return depths_by_name(names)


def depths_by_name(names: Sequence[str]) -> tuple[dict[str, int], int]:
    """The same from parameters' names, in the order of the modules."""
    places = {name: match for name in names if (match := _BLOCK.match(name))}
    keys = {name: (int(match[1]), None if match[2] is None else int(match[2])) for name, match in places.items()}
    last: dict[int, int] = {}
    for stage, block in keys.values():
        last[stage] = max(last.get(stage, 0), block or 0)
    keys = {name: (stage, last[stage] if block is None else block) for name, (stage, block) in keys.items()}
    rank = {key: i for i, key in enumerate(sorted(set(keys.values())), 1)}
    count = len(rank) + 2
    depths, begun = {}, False
    for name in names:
        begun = begun or name in keys
        depths[name] = rank[keys[name]] if name in keys else count - 1 if begun else 0
    return depths, count
