# CST on a frozen DINO ViT-S/16, 480x480 -> 30x30 patch tokens. The labeler's threshold
# is each map's own mean + std / 2: 0.4 belongs to DINO ViT-S/8.
_base_ = './cst_vit-s.py'

model = dict(
    backbone=dict(
        patch_size=16,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain/'
            'dino_deitsmall16_pretrain.pth')),
    labeler=dict(adaptive=0.5))
