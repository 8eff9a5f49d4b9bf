# CST on DINOv2 ViT-g/14 with registers at 392x392, Pascal-5i, image-level labels.
_base_ = './dinov2-vit-g_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        num_registers=4,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/'
            'dinov2_vitg14_reg4_pretrain.pth')))
