# CST on a frozen DINOv2 ViT-B/14, 392x392 -> 28x28 patch tokens.
_base_ = './cst_dinov2-vit-s.py'

model = dict(
    backbone=dict(
        arch='deit-base',
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/'
            'dinov2_vitb14_pretrain.pth')),
    neck=dict(num_heads=12))
