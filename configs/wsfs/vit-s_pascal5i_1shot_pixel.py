# CST, DINO ViT-S/8, Pascal-5i, masks for all images: the paper's settings.
_base_ = [
    '../_base_/models/cst_vit-s.py',
    '../_base_/datasets/pascal5i_pixel.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]
