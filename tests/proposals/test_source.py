import shutil

import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.generators.grid import GridBoxes
from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalStore


def test_raw_proposals_that_are_missing_incomplete_or_mixed_are_refused(images, copy, tmp_path):
    with pytest.raises(UserError, match='holds no raw proposals'):
        read_raw(tmp_path)
    search_folder(images, tmp_path / 'other', GridBoxes(), shard_size=3)
    first = 'shard-00000-of-00003.arrow'
    (copy / first).unlink()
    with pytest.raises(UserError, match='holds 2 of 3 shards'):
        read_raw(copy)
    shutil.copy(tmp_path / 'other' / first, copy / first)
    with pytest.raises(UserError, match='is of another search'):
        read_raw(copy)


def test_an_altered_shard_is_noticed(copy):
    shard = copy / 'shard-00001-of-00003.arrow'
    boxes = np.concatenate([row.boxes for row in ProposalStore.open(shard)])
    content = shard.read_bytes()
    at = content.find(boxes.tobytes())
    assert at > 0
    shard.write_bytes(content[:at] + b'\x07' + content[at + 1 :])
    with pytest.raises(UserError, match=r'shard-00001-of-00003\.arrow does not match its checksum'):
        list(read_raw(copy)[2])


def test_a_proposal_file_counts_as_raw_proposals(raw):
    path = raw / 'shard-00002-of-00003.arrow'
    header, failures, rows = read_raw(path)
    assert failures == {} and header['generator']['name'] == 'selective_search' and 'checksum' not in header
    assert [row.file_name for row in rows] == [row.file_name for row in ProposalStore.open(path)]
