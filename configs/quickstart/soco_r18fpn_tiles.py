# SoCo on the quickstart's aerial tiles: the recipe for some hundred pictures, at the size
# of the tiles.
_base_ = '../own/100-pictures_cpu.py'

work_folder = 'work_dirs/quickstart'

pipeline = _base_.train_dataloader.dataset.pipeline
for view, size in zip(pipeline[1].views, (192, 192, 96), strict=True):
    view.size = size
model = dict(roi_head=dict(bbox_roi_extractor=dict(max_sizes=(41, 82, 165))))
total_batch_size = 16
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        data_root=f'{work_folder}/data/train',
        proposal_file=f'{work_folder}/proposals.arrow',
        pipeline=pipeline,
    ),
)

train_cfg = dict(max_steps=300)
