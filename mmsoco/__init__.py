"""SoCo, pretraining of whole object detectors without labels, for OpenMMLab.

This file imports neither torch nor an OpenMMLab package, so that
:mod:`mmsoco.proposals` runs on machines that have neither. Importing
:mod:`mmsoco.registry`, as any ``mmsoco.`` name in a config does, is what makes
the registered parts known.
"""

__version__ = '0.1.0'
