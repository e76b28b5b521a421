"""The official code's JSON: {name without ending: [[x, y, w, h], ...]}."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from mmsoco.boxes import xywh_to_xyxy, xyxy_to_xywh
from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat, to_table
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.untiled import WholeImages


@FORMATS.register('official', former='released')
class Official(BoxFormat):
    """The official code's proposals; any JSON that no other format recognises is taken for it.

    We read and write x2 = x + w; the official ``convert_props`` makes x2 = x + w - 1.
    """

    endings = ('.json',)

    def recognises(self, file: BoxFile) -> bool | None:
        """Not a list; else that does not tell."""
        return False if isinstance(file.json, list) else None

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes; a fifth number, of detectors, is a score."""
        if not isinstance(file.json, dict):
            raise UserError(f'{file.path} is not like {{"name": [[x, y, w, h], ...]}}')
        for name, boxes in file.json.items():
            table = to_table(boxes, (4, 5), f'{file.path}, {name}')
            scores = table[:, 4] if table.shape[1] == 5 else None
            yield Boxes(
                name, xywh_to_xyxy(table[:, :4]), lambda i, name=name: f'{name}, box {i + 1}', scores, sides=True
            )

    def key(self, root: Path, file_name: str) -> str:
        """Up to the first dot, without folders."""
        return PurePath(file_name).name.split('.')[0]

    def write(self, store: WholeImages, file: BoxFile) -> None:
        """Boxes, without scores."""
        seen = set()
        with file.open_to_write() as text:
            for row in store:
                name = self.key(Path(store.header['root']), row.file_name)
                if name in seen:
                    raise UserError(
                        f'two images are called {name}, which the official format cannot tell apart; '
                        'choose another format'
                    )
                boxes = xyxy_to_xywh(row.boxes.astype(np.int64)).tolist()
                text.write(f'{", " if seen else "{"}{json.dumps(name)}: {boxes}')
                seen.add(name)
            text.write('}' if seen else '{}')
