"""A detector's results in the columns of the paper's tables."""

import re
from collections.abc import Mapping

# COCO's names, LVIS's and VOC's, after the metric's prefix.
_AVERAGE_PRECISION = re.compile(r'(?:(bbox|segm)_)?(?:m?AP)_?(50|75)?')
_ACCURACY = {'top1': 'top-1', 'top5': 'top-5'}


def paper_columns(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """AP, AP50 and AP75 for boxes and masks, and top-1 and top-5, in percent with one decimal.

    Args:
        metrics: Name -> value, as mmengine's evaluator gives them.

    Returns:
        Column -> value, for those that are there; None where nothing was to be found.
    """
    found: dict[str, dict[str, float | None]] = {}
    for whole, value in metrics.items():
        prefix, _, name = whole.rpartition('/')
        if match := _AVERAGE_PRECISION.fullmatch(name):
            what = 'mask' if match[1] == 'segm' else 'box'
            # COCO says -1 where there was nothing to find.
            column, value = f'{what} AP{match[2] or ""}', round(100 * value, 1) if value >= 0 else None
        elif name in _ACCURACY:
            column, value = _ACCURACY[name], round(value, 1)
        else:
            continue
        found.setdefault(column, {})[prefix] = value
    order = [f'{what} AP{threshold}' for what in ('box', 'mask') for threshold in ('', 50, 75)]
    return {
        # Of several data sets, or evaluators, each has its own.
        column if len(found[column]) == 1 else f'{column} ({prefix})': value
        for column in (*order, *_ACCURACY.values())
        for prefix, value in found.get(column, {}).items()
    }


def format_columns(columns: Mapping[str, float | None]) -> str:
    """The columns as two aligned lines."""
    widths = [max(len(name), 5) for name in columns]
    return '\n'.join(
        '  '.join(f'{"-" if cell is None else cell:>{width}}' for cell, width in zip(line, widths, strict=True))
        for line in (columns, columns.values())
    )
