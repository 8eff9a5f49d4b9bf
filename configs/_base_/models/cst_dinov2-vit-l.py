# CST on a frozen DINOv2 ViT-L/14, 392x392 -> 28x28 patch tokens.
_base_ = './cst_dinov2-vit-s.py'

model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/'
            'dinov2_vitl14_pretrain.pth')),
    neck=dict(num_layers=24, num_heads=16))
