"""mmdet's pickle, as its DumpProposals writes and its data sets read: {folder/name: dict or InstanceData}."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat, to_scores, to_table
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalStore


class _Plain:
    """What stands in for an InstanceData: its attributes, none of its code."""


class _DataUnpickler(pickle.Unpickler):
    """Loads arrays and containers, and nothing that could run code."""

    _ARRAYS = frozenset(
        (f'numpy.{core}.{module}', name)
        for core in ('core', '_core')
        for module, name in (('multiarray', '_reconstruct'), ('multiarray', 'scalar'), ('numeric', '_frombuffer'))
    ) | {('numpy', 'ndarray'), ('numpy', 'dtype')}
    _CONTAINERS = frozenset({('builtins', 'set'), ('collections', 'OrderedDict')})

    def find_class(self, module: str, name: str) -> Any:
        if name == 'InstanceData' and module.startswith('mmengine.structures'):
            return _Plain
        if (module, name) in self._ARRAYS | self._CONTAINERS:
            return super().find_class(module, name)
        raise UserError(f'it holds {module}.{name}, which is not read, as it could run code; save numpy arrays')


@FORMATS.register('mmdet')
class MMDet(BoxFormat):
    """mmdet's proposal file."""

    endings = ('.pkl', '.pickle')

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes, without running code that may be in the file."""
        path = file.path
        try:
            with path.open('rb') as pickled:
                content = _DataUnpickler(pickled).load()
        except FileNotFoundError:
            raise UserError(f'{path} does not exist') from None
        except UserError as error:
            raise UserError(f'{path} is not loaded: {error}') from None
        except Exception as error:
            raise UserError(f'{path} is not a pickle, or not all of one ({error})') from None
        if not isinstance(content, dict):
            raise UserError(
                f'{path} does not say which image its boxes are of; write it with mmdet 3, by DumpProposals'
            )
        for name, entry in content.items():
            fields = entry if isinstance(entry, dict) else vars(entry) if isinstance(entry, _Plain) else {}
            if 'bboxes' not in fields:
                raise UserError(f'{path}, {name}: it has no bboxes')
            boxes = to_table(fields['bboxes'], (4,), f'{path}, {name}')
            scores = fields.get('scores')
            if scores is not None:
                scores = to_scores(scores, len(boxes), f'{path}, {name}')
            yield Boxes(str(name), boxes, lambda i, name=name: f'{name}, box {i + 1}', scores)

    def key(self, root: Path, file_name: str) -> str:
        """Its folder and its name."""
        return '/'.join((root / file_name).parts[-2:])

    def write(self, store: ProposalStore, file: BoxFile) -> None:
        """Plain dicts; all scores are 1."""
        content: dict[str, dict[str, np.ndarray]] = {}
        for row in store:
            key = self.key(Path(store.header['root']), row.file_name)
            if key in content:
                raise UserError(f'two images are called {key}, which mmdet cannot tell apart; choose another format')
            content[key] = dict(bboxes=row.boxes.astype(np.float32), scores=np.ones(len(row.boxes), np.float32))
        with file.path.open('wb') as pickled:
            pickle.dump(content, pickled, protocol=4)
