"""Files of boxes that the tests of formats and of their conversion share."""

import json

from mmsoco.proposals.store import ProposalStore

#: What the files of these tests hold, as xyxy.
BOXES = {
    'n01/n01_1.png': [[0, 0, 30, 20], [5, 6, 40, 30]],
    'n01/n01_2.png': [[1, 2, 3, 4]],
    'n02/n02_3.png': [],
}
SIZE = (40, 30)


def xywh(box):
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def contents(path):
    return {row.file_name: (row.width, row.height, row.boxes.tolist()) for row in ProposalStore.open(path).verify()}


EVERYTHING = {name: (*SIZE, boxes) for name, boxes in BOXES.items()}


def official(tmp_path, **changes):
    content = {name.split('/')[1][:-4]: [xywh(box) for box in boxes] for name, boxes in BOXES.items()}
    path = tmp_path / 'official.json'
    path.write_text(json.dumps({**content, **changes}))
    return path
