"""Tables of tensors."""

from collections.abc import Mapping, Sequence

from torch import Tensor


def part_of(name: str) -> str:
    """The part a parameter belongs to: ``backbone``, ``neck``, ``roi_head.bbox_head.shared_convs``, ..."""
    pieces = name.split('.')
    depth = 3 if pieces[0] == 'roi_head' else 1
    return '.'.join(pieces[: min(depth, len(pieces) - 1) or 1])


def summarise(tensors: Mapping[str, Tensor], note: str) -> list[tuple[str, str, str, str]]:
    """One row (part, tensors, values, note) for each part, in order of appearance."""
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        parts.setdefault(part_of(name), []).append(tensor)
    return [(part, str(len(all_)), f'{sum(t.numel() for t in all_):,}', note) for part, all_ in parts.items()]


def format_table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Rows of :func:`summarise` as aligned text."""
    rows = [('part', 'tensors', 'values', ''), *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return '\n'.join(f'{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}'.rstrip() for a, b, c, d in rows)
