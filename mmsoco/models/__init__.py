from mmsoco.models.base import MomentumPretraining
from mmsoco.models.contrastive_head import InfoNCEHead
from mmsoco.models.data_preprocessor import SoCoDataPreprocessor
from mmsoco.models.detector_preprocessor import ChannelDetDataPreprocessor
from mmsoco.models.heads import BYOLHead
from mmsoco.models.joint import JointSoCo
from mmsoco.models.necks import BYOLNeck
from mmsoco.models.roi_extractors import AllLevelsRoIExtractor, ScaleAwareRoIExtractor, assign_levels
from mmsoco.models.roi_heads import Identity, ProposalRoIHead
from mmsoco.models.simple_fpn import SimpleFPN
from mmsoco.models.soco import SoCoAlgorithm
from mmsoco.models.sync_bn import SyncBatchNorm

__all__ = [
    'AllLevelsRoIExtractor',
    'BYOLHead',
    'BYOLNeck',
    'ChannelDetDataPreprocessor',
    'Identity',
    'InfoNCEHead',
    'JointSoCo',
    'MomentumPretraining',
    'ProposalRoIHead',
    'ScaleAwareRoIExtractor',
    'SimpleFPN',
    'SoCoAlgorithm',
    'SoCoDataPreprocessor',
    'SyncBatchNorm',
    'assign_levels',
]
