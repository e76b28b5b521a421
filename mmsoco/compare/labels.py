"""The labelled data sets that a detector's config names."""

from collections.abc import Iterator, Mapping
from pathlib import Path


def labelled(dataset: Mapping) -> Iterator[Mapping]:
    """The settings of the data sets with labels that a training's is made of, through any wrappers."""
    if dataset.get('ann_file'):
        yield dataset
    for part in (dataset.get('dataset'), *(dataset.get('datasets') or ())):
        if isinstance(part, Mapping):
            yield from labelled(part)


def annotations_of(dataset: Mapping) -> Path:
    """The file of a data set's labels."""
    return Path(dataset.get('data_root') or '', dataset['ann_file'])


def classes_of(dataset: Mapping) -> tuple[str, ...]:
    """The names of the classes that a data set is told to take; none where it is not."""
    classes = (dataset.get('metainfo') or {}).get('classes') or ()
    return (classes,) if isinstance(classes, str) else tuple(classes)


def mappings(node: object, leave: tuple[str, ...] = ()) -> Iterator[Mapping]:
    """All dicts in a config, the outer ones first, besides those under some keys."""
    if isinstance(node, Mapping):
        yield node
        node = [value for key, value in node.items() if key not in leave]
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from mappings(value, leave)
