# CST on a frozen DINOv2 ViT-g/14 (its FFNs are SwiGLUs), 392x392 -> 28x28 tokens.
_base_ = './cst_dinov2-vit-s.py'

model = dict(
    backbone=dict(
        arch='dinov2-giant',
        layer_cfgs=dict(ffn_type='swiglu_fused'),
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/'
            'dinov2_vitg14_pretrain.pth')),
    neck=dict(num_layers=40, num_heads=24))
