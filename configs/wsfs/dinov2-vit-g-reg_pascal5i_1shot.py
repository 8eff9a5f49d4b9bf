# CST on DINOv2 ViT-g/14 with registers at 392x392, Pascal-5i, image-level labels.
_base_ = [
    '../_base_/models/cst_dinov2-vit-g-reg.py',
    '../_base_/datasets/pascal5i_image_392.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]

custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
