"""Proposal files that should never have been written, with a valid checksum."""

from unittest import mock

import numpy as np

from mmsoco.proposals.store import ProposalRow, write_proposals


def write_unchecked(path, rows, header):
    """As :func:`write_proposals`, without its looking at the rows."""
    with mock.patch('mmsoco.proposals.store.find_fault', lambda batch: None):
        write_proposals(path, rows, header)
    return path


def row(name='a.jpg', width=40, height=30, boxes=((0, 0, 40, 30),)):
    """A row, good but for what is given."""
    return ProposalRow(name, width, height, np.array(boxes, np.int64).reshape(-1, 4))
