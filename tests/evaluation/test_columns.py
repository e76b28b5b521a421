import subprocess
import sys

import pytest

from mmsoco.evaluation.columns import format_columns, paper_columns

COCO = {'coco/bbox_mAP': 0.4234, 'coco/bbox_mAP_50': 0.625, 'coco/bbox_mAP_75': 0.465, 'coco/bbox_mAP_s': 0.2,
        'coco/segm_mAP': 0.376, 'coco/segm_mAP_50': 0.591, 'coco/segm_mAP_75': 0.405}  # fmt: skip


@pytest.mark.parametrize(
    ('metrics', 'columns'),
    [
        (
            COCO,
            {'box AP': 42.3, 'box AP50': 62.5, 'box AP75': 46.5, 'mask AP': 37.6, 'mask AP50': 59.1, 'mask AP75': 40.5},
        ),
        ({'lvis/segm_AP': 0.25, 'lvis/bbox_AP': 0.263, 'lvis/bbox_APr': 0.1}, {'box AP': 26.3, 'mask AP': 25.0}),
        ({'pascal_voc/mAP': 0.591, 'pascal_voc/AP50': 0.834, 'pascal_voc/AP55': 0.8, 'pascal_voc/AP75': 0.656},
         {'box AP': 59.1, 'box AP50': 83.4, 'box AP75': 65.6}),
        ({'accuracy/top5': 77.46, 'accuracy/top1': 53.04}, {'top-1': 53.0, 'top-5': 77.5}),
        ({'a/coco/bbox_mAP': 0.1, 'b/coco/bbox_mAP': 0.9}, {'box AP (a/coco)': 10.0, 'box AP (b/coco)': 90.0}),
        ({'coco/AR@100': 0.5}, {}),
        ({'coco/bbox_mAP': -1.0}, {'box AP': None}),
    ],
)  # fmt: skip
def test_columns(metrics, columns):
    assert list(paper_columns(metrics).items()) == list(columns.items())


def test_table():
    assert format_columns({'box AP': None}).splitlines() == ['box AP', '     -']
    assert format_columns({'box AP': 42.3, 'mask AP50': 9.1}).splitlines() == ['box AP  mask AP50', '  42.3        9.1']


def test_columns_are_there_without_mmdet():
    """``tools/train.py --help`` would wait ten seconds for it."""
    code = 'import sys; import mmsoco.evaluation.columns; print("mmdet" in sys.modules, "torch" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['False', 'False']
