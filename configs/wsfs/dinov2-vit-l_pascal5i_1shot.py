# CST on DINOv2 ViT-L/14 at 392x392, Pascal-5i, image-level labels.
_base_ = './dinov2-vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/'
            'dinov2_vitl14_pretrain.pth')))
