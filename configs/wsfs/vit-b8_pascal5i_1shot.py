# CST on DINO ViT-B/8 at 400x400, Pascal-5i, image-level labels.
_base_ = './vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        arch='deit-base',
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/dino_vitbase8_pretrain/'
            'dino_vitbase8_pretrain.pth')),
    # 0.4 belongs to DINO ViT-S/8: each map's own mean + std / 2.
    labeler=dict(adaptive=0.5))
