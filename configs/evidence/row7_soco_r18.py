# SoCo with a ResNet-18 at half its width: the recipe of ../own for two CPU cores, as it is.
_base_ = '../own/100-pictures_cpu.py'
