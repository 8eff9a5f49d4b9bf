# CST on a frozen DINO ViT-B/8, 400x400 -> 50x50 patch tokens. The labeler's threshold
# is each map's own mean + std / 2: 0.4 belongs to DINO ViT-S/8.
_base_ = './cst_vit-s.py'

model = dict(
    backbone=dict(
        arch='deit-base',
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/dino_vitbase8_pretrain/'
            'dino_vitbase8_pretrain.pth')),
    neck=dict(num_heads=12),
    labeler=dict(adaptive=0.5))
