# CST, DINO ViT-S/8, COCO-20i, masks for all images: the paper's settings.
_base_ = [
    '../_base_/models/cst_vit-s.py',
    '../_base_/datasets/coco20i_pixel.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/default_runtime.py',
]
