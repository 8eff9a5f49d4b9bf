# CST on a frozen DINO ViT-B/16, 480x480 -> 30x30 patch tokens.
_base_ = './cst_vit-b8.py'

model = dict(
    backbone=dict(
        patch_size=16,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/'
            'dino_vitbase16_pretrain.pth')))
