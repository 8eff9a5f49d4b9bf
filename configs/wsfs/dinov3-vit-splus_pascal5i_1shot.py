# CST on DINOv3 ViT-S+/16 at 448x448, Pascal-5i, image-level labels.
_base_ = './dinov3-vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        arch='small+',
        init_cfg=dict(
            checkpoint='hf://facebook/dinov3-vits16plus-pretrain-lvd1689m/'
            'model.safetensors')))
