"""mmdet's pickle, as its DumpProposals writes and its data sets read: {folder/name: dict or InstanceData}."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmsoco.errors import UserError, reason
from mmsoco.plain_pickle import NotPlain, PlainUnpickler, Record
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat, to_scores, to_table
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.untiled import WholeImages


@FORMATS.register('mmdet')
class MMDet(BoxFormat):
    """mmdet's proposal file."""

    endings = ('.pkl', '.pickle')

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes, without running code that may be in the file."""
        path = file.path
        try:
            with path.open('rb') as pickled:
                content = PlainUnpickler(pickled).load()
        except FileNotFoundError:
            raise UserError(f'{path} does not exist') from None
        except NotPlain as error:
            raise UserError(f'{path} is not loaded: it {error}') from None
        except Exception as error:
            raise UserError(f'{path} is not a pickle, or not all of one ({reason(error, bare=True)})') from None
        if not isinstance(content, dict):
            raise UserError(
                f'{path} does not say which image its boxes are of; write it with mmdet 3, by DumpProposals'
            )
        left = path.stat().st_size
        for name, entry in content.items():
            fields = entry if isinstance(entry, dict) else vars(entry) if isinstance(entry, Record) else {}
            if not isinstance(name, str) or 'bboxes' not in fields:
                raise UserError(f'{path}, {name if isinstance(name, str) else type(name)}: it has no bboxes')
            arrays = [value for value in (fields['bboxes'], fields.get('scores')) if value is not None]
            if not all(isinstance(value, np.ndarray) for value in arrays):
                raise UserError(f'{path}, {name}: its bboxes or scores are no numpy array; save bboxes.numpy()')
            # One array may stand for many: a small file for all of the memory.
            left -= sum(value.size for value in arrays)
            if left < 0:
                raise UserError(f'{path} names more boxes than it has bytes; write it with mmdet 3, by DumpProposals')
            boxes = to_table(fields['bboxes'], (4,), f'{path}, {name}')
            scores = fields.get('scores')
            if scores is not None:
                scores = to_scores(scores, len(boxes), f'{path}, {name}')
            yield Boxes(name, boxes, lambda i, name=name: f'{name}, box {i + 1}', scores)

    def key(self, root: Path, file_name: str) -> str:
        """Its folder and its name."""
        return '/'.join((root / file_name).parts[-2:])

    def write(self, store: WholeImages, file: BoxFile) -> None:
        """Plain dicts; all scores are 1."""
        content: dict[str, dict[str, np.ndarray]] = {}
        for row in store:
            key = self.key(Path(store.header['root']), row.file_name)
            if key in content:
                raise UserError(f'two images are called {key}, which mmdet cannot tell apart; choose another format')
            content[key] = dict(bboxes=row.boxes.astype(np.float32), scores=np.ones(len(row.boxes), np.float32))
        with file.path.open('wb') as pickled:
            pickle.dump(content, pickled, protocol=4)
