"""The scripts of ``tools`` and ``data_pipelines`` as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def load_script(path: str) -> ModuleType:
    """The script at a path from the checkout on; not by name, because some are called like other modules."""
    spec = importlib.util.spec_from_file_location(path.removesuffix('.py').replace('/', '_'), ROOT / path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
