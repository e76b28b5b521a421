"""Checkpoints of the pretraining, and the way of their weights into other models.

The only part of mmsoco that knows how other tools name their parameters.
"""
