# CST on DINOv2 ViT-S/14 at 392x392, Pascal-5i, image-level labels: 500 steps, with the
# features of images seen before kept in memory.
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/pascal5i.py',
    '../_base_/schedules/schedule_short.py',
    '../_base_/default_runtime.py',
]

model = dict(supervision='image', cache=dict(ram_gb=8), **_base_.short_losses)
train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=_base_.img_size))
train_dataloader = dict(train_dataloader, **_base_.short_loader)
custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
