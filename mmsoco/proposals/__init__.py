"""Object proposals, made offline: search, filter and the file that training reads.

Nothing here imports torch or an OpenMMLab package: the machines of a cluster
that search for proposals need only what ``pip install mmsoco`` brings.
"""
