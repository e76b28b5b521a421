"""What a run logged."""

import json
from collections import defaultdict
from pathlib import Path


def read_scalars(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value) of what a run, and its resumptions, logged; a line that was cut off is passed over."""
    scalars = defaultdict(dict)
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text(errors='replace').splitlines():
            try:
                entry = json.loads(line)
                step = entry['step']
            except (ValueError, TypeError, KeyError):
                continue
            for name, value in entry.items():
                scalars[name][step] = value
    return {name: sorted(values.items()) for name, values in scalars.items()}


def read_probe(work_dir: Path) -> dict | None:
    """``asked``, ``random`` and ``curve`` of ``probe.json``; None where the run has no probe yet, or it is damaged.

    ``asked``, the boxes that each figure is a share of, is None in those of earlier versions.
    """
    try:
        # Earlier versions said picture.
        probe = json.loads((work_dir / 'probe.json').read_text().replace('picture', 'image'))
        return {'asked': probe.get('asked'), 'random': probe['random'], 'curve': probe['curve']}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
