# CST on DINOv2 ViT-S/14 at 392x392, COCO-20i, image-level labels.
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/coco20i_image_392.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]

custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
