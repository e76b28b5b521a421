# Table 4, row 7, in small: SoCo.
_base_ = './_base_/narrow.py'
