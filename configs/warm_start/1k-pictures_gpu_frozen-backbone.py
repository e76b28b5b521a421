# Some thousand images, one GPU: neck and head learn on a backbone that stays as it is loaded, as in
# AlignDet (Li et al. 2023). Not run.
_base_ = '../own/1k-pictures_gpu.py'

model = dict(frozen=['backbone'])
load_from = 'torchvision://resnet50'  # fetched; or a file: --init resnet50.pth
