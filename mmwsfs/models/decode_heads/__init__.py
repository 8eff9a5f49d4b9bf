from .batch_dice_loss import BatchDiceLoss
from .few_shot_cls_head import FewShotClsHead
from .few_shot_seg_head import FewShotSegHead
from .one_hot_loss import OneHotLoss

__all__ = ['BatchDiceLoss', 'FewShotClsHead', 'FewShotSegHead', 'OneHotLoss']
