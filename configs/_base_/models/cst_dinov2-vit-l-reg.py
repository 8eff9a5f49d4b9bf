# CST on a frozen DINOv2 ViT-L/14 with registers, 392x392 -> 28x28 patch tokens.
_base_ = './cst_dinov2-vit-l.py'

model = dict(
    backbone=dict(
        num_registers=4,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/'
            'dinov2_vitl14_reg4_pretrain.pth')))
