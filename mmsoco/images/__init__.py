"""Images on the disk: decoding them, finding them, and lists and parts of data sets.

Nothing here imports torch or an OpenMMLab package.
"""
