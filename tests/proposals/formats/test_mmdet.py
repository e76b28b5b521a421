import pickle

import mmengine
import numpy as np
import pytest
import torch
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


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_each_protocol_of_mmengines_dump(root, tmp_path, protocol):
    proposals = {}
    for name, boxes in BOXES.items():
        entry = InstanceData()
        entry.bboxes = np.array(boxes, np.float32).reshape(-1, 4)
        entry.scores = np.ones(len(boxes), np.float32)
        proposals[name] = entry
    mmengine.dump(proposals, tmp_path / 'p.pkl', protocol=protocol)
    import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == EVERYTHING


@pytest.mark.slow
def test_what_mmdets_metric_writes(root, tmp_path):
    from mmdet.evaluation.metrics import DumpProposals

    metric = DumpProposals(output_dir=str(tmp_path), proposals_file='p.pkl', num_max_proposals=2)
    samples = [
        dict(
            img_path=str(root / name),
            pred_instances=dict(bboxes=torch.tensor(boxes).float().reshape(-1, 4), scores=torch.rand(len(boxes))),
        )
        for name, boxes in BOXES.items()
    ]
    metric.process({}, samples)
    metric.evaluate(len(samples))
    import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == EVERYTHING
    # The folder may be seen through a link, whose name mmdet takes.
    (tmp_path / 'link').symlink_to(root / 'n01')
    metric = DumpProposals(output_dir=str(tmp_path), proposals_file='q.pkl')
    sample = dict(samples[1], img_path=str(tmp_path / 'link/n01_2.png'))
    metric.process({}, [sample])
    metric.evaluate(1)
    import_boxes(tmp_path / 'q.pkl', tmp_path / 'a.arrow', tmp_path / 'link')
    assert contents(tmp_path / 'a.arrow') == {'n01_2.png': (40, 30, [[1, 2, 3, 4]])}


def test_tensors_are_named(root, tmp_path):
    mmengine.dump({'n01/n01_1.png': dict(bboxes=torch.ones(1, 4))}, tmp_path / 'p.pkl')
    with pytest.raises(UserError, match=r'holds torch\._utils\._rebuild_tensor_v2, .*; save numpy arrays'):
        import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)


def test_one_array_for_all_images(root, tmp_path):
    """A small file for much memory."""
    array = np.ones((1000, 4))
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({f'{i}.jpg': dict(bboxes=array) for i in range(1000)}))
    with pytest.raises(UserError, match='names more boxes than it has bytes'):
        import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)


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
