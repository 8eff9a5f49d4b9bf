# CST on DINOv3 ViT-S/16 at 448x448, COCO-20i, image-level labels.
_base_ = [
    '../_base_/models/cst_dinov3-vit-s.py',
    '../_base_/datasets/coco20i.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]

model = dict(supervision='image')
train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=_base_.img_size))
custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
