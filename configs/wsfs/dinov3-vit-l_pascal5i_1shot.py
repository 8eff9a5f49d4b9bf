# CST on DINOv3 ViT-L/16 at 448x448, Pascal-5i, image-level labels.
_base_ = './dinov3-vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(
            checkpoint='hf://facebook/dinov3-vitl16-pretrain-lvd1689m/'
            'model.safetensors')))
