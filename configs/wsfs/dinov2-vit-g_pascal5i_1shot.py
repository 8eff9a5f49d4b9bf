# CST on DINOv2 ViT-g/14 (FFNs are SwiGLUs), 392x392, Pascal-5i, image-level labels.
_base_ = './dinov2-vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        arch='dinov2-giant',
        layer_cfgs=dict(ffn_type='swiglu_fused'),
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/'
            'dinov2_vitg14_pretrain.pth')))
