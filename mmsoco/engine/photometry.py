"""Whether a run changes colours in its loader or on its device."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS

from mmsoco.datasets.steps import in_order
from mmsoco.datasets.transforms import MultiViewProposalPipeline
from mmsoco.models import SoCoDataPreprocessor


def place_photometry(cfg: Config) -> list[str]:
    """Choose ``photometry`` of a pretraining's view pipeline, where its config does not: on CUDA the device.

    Subclasses of the pipeline, and preprocessors that are no :class:`~mmsoco.models.SoCoDataPreprocessor`, may know
    nothing of it, and stay as they are.

    Args:
        cfg: Of a pretraining; changed in place.

    Returns:
        What was chosen, to be logged.
    """
    scope = cfg.get('default_scope')
    with TRANSFORMS.switch_scope_and_registry(scope) as registry:
        steps = in_order(cfg.train_dataloader.dataset.get('pipeline') or ())
        pipelines = [step for step in steps if _class(registry, step) is MultiViewProposalPipeline]
    with MODELS.switch_scope_and_registry(scope) as registry:
        preprocessor = cfg.model.get('data_preprocessor')
        kind = SoCoDataPreprocessor if preprocessor is None else _class(registry, preprocessor)
    able = isinstance(kind, type) and issubclass(kind, SoCoDataPreprocessor)
    if able and torch.cuda.is_available():
        for step in pipelines:
            step.setdefault('photometry', 'device')
    places = {step.get('photometry', 'loader') for step in pipelines}
    words = {'loader': 'in the loader', 'device': 'on the device, as the loader draws them'}
    return [f'colour, blur and solarisation: {words[place]}' for place in words if place in places]


def _class(registry, config: dict) -> type | None:
    kind = config.get('type')
    return registry.get(kind) if isinstance(kind, str) else kind
