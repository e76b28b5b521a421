import pickle

import numpy as np
import pytest
from box_files import BOXES, EVERYTHING, contents
from mmengine.structures import InstanceData

from mmsoco.errors import UserError
from mmsoco.proposals.convert import Choice, export_boxes, import_boxes


def test_mmdet_reads_what_we_write(store, root, tmp_path):
    from mmdet.datasets import CocoDataset

    export_boxes(store, tmp_path / 'b.pkl')
    export_boxes(store, tmp_path / 'images.json', 'coco')
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'images.json'),
        data_prefix=dict(img=str(root)),
        proposal_file=str(tmp_path / 'b.pkl'),
        metainfo=dict(classes=('proposal',)),
        test_mode=True,
        pipeline=[],
    )
    found = {dataset[i]['img_path']: dataset[i]['proposals']['bboxes'].tolist() for i in range(3)}
    assert found == {str(root / name): boxes for name, boxes in BOXES.items()}


def test_what_mmdet_writes(root, tmp_path):
    """DumpProposals pickles a dict of InstanceData."""
    proposals = {}
    for name, boxes in BOXES.items():
        entry = InstanceData()
        entry.bboxes = np.array(boxes, np.float32).reshape(-1, 4)
        entry.scores = np.linspace(0.9, 0.1, len(boxes), dtype=np.float32)
        proposals[name] = entry
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(proposals))
    import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == EVERYTHING
    import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root, choice=Choice(min_score=0.5))
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 30, 20]]


class Malicious:
    def __reduce__(self):
        return open, ('/tmp/mmsoco-was-here', 'w')


def test_a_pickle_runs_no_code(root, tmp_path):
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({'n01/n01_1.png': Malicious()}))
    with pytest.raises(UserError, match=r'is not loaded: it holds \w+\.open, which is not read, as it could run code'):
        import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'nothing', 'is not a pickle'),
        (pickle.dumps([np.zeros((1, 4))]), 'does not say which image its boxes are of'),
        (pickle.dumps({'n01/n01_1.png': np.zeros((1, 4))}), 'has no bboxes'),
        (pickle.dumps({'n01/n01_1.png': dict(bboxes=np.ones((2, 4)), scores=np.ones(3))}), '3 scores for 2 boxes'),
        (pickle.dumps({'n01/n01_1.png': dict(bboxes=np.ones((2, 3)))}), 'not rows of 4 numbers'),
    ],
)
def test_pickles_that_hold_something_else(root, tmp_path, content, words):
    (tmp_path / 'p.pkl').write_bytes(content)
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()
