# EMAT on DINOv2 ViT-S/14 at 700x700, Pascal-5i, masks for all images.
_base_ = [
    '../_base_/models/emat_dinov2-vit-s.py',
    '../_base_/datasets/pascal5i_pixel_700.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]
