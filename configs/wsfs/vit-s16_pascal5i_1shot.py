# CST on DINO ViT-S/16 at 480x480, Pascal-5i, image-level labels.
_base_ = [
    '../_base_/models/cst_vit-s16.py',
    '../_base_/datasets/pascal5i_image_480.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]

custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
