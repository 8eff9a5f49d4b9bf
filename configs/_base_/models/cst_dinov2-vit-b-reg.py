# CST on a frozen DINOv2 ViT-B/14 with registers, 392x392 -> 28x28 patch tokens.
_base_ = './cst_dinov2-vit-b.py'

model = dict(
    backbone=dict(
        num_registers=4,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/'
            'dinov2_vitb14_reg4_pretrain.pth')))
