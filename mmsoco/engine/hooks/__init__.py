from mmsoco.engine.hooks.bad_images import BadImagesHook
from mmsoco.engine.hooks.checkpoint import CheckpointHook
from mmsoco.engine.hooks.compilation import CompileHook
from mmsoco.engine.hooks.curve import CurveHook
from mmsoco.engine.hooks.health import HealthHook, TrainingDiverged
from mmsoco.engine.hooks.interruption import InterruptionHook
from mmsoco.engine.hooks.matched_boxes import MatchedBoxesHook
from mmsoco.engine.hooks.precise_bn import PreciseBNHook
from mmsoco.engine.hooks.probe import ProbeHook
from mmsoco.engine.hooks.progress import ProgressBarHook
from mmsoco.engine.hooks.recompute import RecomputeHook
from mmsoco.engine.hooks.schedule import WarmupCosineLRHook
from mmsoco.engine.hooks.target_update import TargetUpdateHook
from mmsoco.engine.hooks.transfer import TransferHook
from mmsoco.engine.hooks.warm_start import WarmStartHook

__all__ = [
    'BadImagesHook',
    'CheckpointHook',
    'CompileHook',
    'CurveHook',
    'HealthHook',
    'InterruptionHook',
    'MatchedBoxesHook',
    'PreciseBNHook',
    'ProbeHook',
    'ProgressBarHook',
    'RecomputeHook',
    'TargetUpdateHook',
    'TrainingDiverged',
    'TransferHook',
    'WarmStartHook',
    'WarmupCosineLRHook',
]
