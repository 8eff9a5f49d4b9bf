# CST on DINOv2 ViT-S/14 with registers at 392x392, Pascal-5i, image-level labels.
_base_ = './dinov2-vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        num_registers=4,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
            'dinov2_vits14_reg4_pretrain.pth')))
