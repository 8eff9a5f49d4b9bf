# What needs no training, on DINOv2 ViT-S/14 at 392x392, Pascal-5i: there is a test and
# nothing else. A config on top says `type` and `supervision` of the model.
_base_ = [
    '../../_base_/models/cst_dinov2-vit-s.py',
    '../../_base_/datasets/pascal5i.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    _delete_=True,
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    labeler=_base_.model.labeler,
    # In few-shot segmentation the class is there.
    gated=_base_.protocol != 'FS-S')
train_dataloader = val_dataloader = val_evaluator = None
test_dataloader = dict(dataset=dict(img_size=_base_.img_size))
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=None,
    param_scheduler=None,
    visualization=dict(type='FewShotVisualizationHook'),
    report=dict(type='EpisodeReportHook'),
    feature_cache=dict(type='FeatureCacheHook'))
