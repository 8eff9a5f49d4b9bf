# CST on DINOv2 ViT-S/14 at 392x392, Pascal-5i, masks for all images: 500 steps, with
# the features of images seen before kept in memory.
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/pascal5i_pixel_392.py',
    '../_base_/schedules/schedule_short.py',
    '../_base_/default_runtime.py',
]

model = dict(
    cache=dict(ram_gb=8),
    cls_head=dict(loss_cls=_base_.short.loss_cls),
    seg_head=dict(loss_seg=_base_.short.loss_seg))
train_dataloader = dict(
    batch_size=_base_.short.batch_size, sampler=_base_.short.sampler)
