# CST on a frozen DINOv2 ViT-S/14, 392x392 -> 28x28 patch tokens. The labeler's
# threshold is each map's own mean + std / 2: 0.4 belongs to DINO ViT-S/8.
_base_ = './cst_vit-s.py'

img_size = 392
model = dict(
    backbone=dict(
        arch='dinov2-small',
        img_size=518,
        patch_size=14,
        layer_scale_init_value=1.0,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
            'dinov2_vits14_pretrain.pth')),
    labeler=dict(adaptive=0.5))
