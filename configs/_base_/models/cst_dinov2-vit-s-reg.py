# CST on a frozen DINOv2 ViT-S/14 with registers, 392x392 -> 28x28 patch tokens.
_base_ = './cst_dinov2-vit-s.py'

model = dict(
    backbone=dict(
        num_registers=4,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
            'dinov2_vits14_reg4_pretrain.pth')))
