# SoCo with the paper's ResNet-50, on one GPU in some minutes: the recipe of ../own for so many images, as it is.
_base_ = '../own/100-pictures_gpu.py'
