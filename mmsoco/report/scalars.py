"""What a run logged."""

import json
from collections import defaultdict
from pathlib import Path


def read_scalars(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value) of what a run, and its resumptions, logged."""
    scalars = defaultdict(dict)
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            for name, value in entry.items():
                scalars[name][entry['step']] = value
    return {name: sorted(values.items()) for name, values in scalars.items()}


def read_probe(work_dir: Path) -> dict | None:
    """``random`` and ``curve`` of ``probe.json``; None where the run has no probe yet."""
    file = work_dir / 'probe.json'
    if not file.exists():
        return None
    # Earlier versions said picture.
    return json.loads(file.read_text().replace('picture', 'image'))
