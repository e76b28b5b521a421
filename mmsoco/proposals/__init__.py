"""Object proposals, made offline: search, filter and the file that training reads.

``generators`` propose boxes for an image, ``search`` runs one over a folder, ``filters`` keeps what training
should see, ``store`` is the file; ``formats`` and ``convert`` deal with other tools' files.

Nothing here imports torch or an OpenMMLab package: the machines of a cluster
that search for proposals need only what ``pip install mmsoco`` brings.
"""
