# EMAT on DINOv2 ViT-S/14 at 700x700, Pascal-5i, image-level labels.
_base_ = [
    '../_base_/models/emat_dinov2-vit-s.py',
    '../_base_/datasets/pascal5i_image_700.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]

custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
