# CST on DINO ViT-B/8 at 400x400, Pascal-5i, image-level labels.
_base_ = [
    '../_base_/models/cst_vit-b8.py',
    '../_base_/datasets/pascal5i_image.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]

custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
