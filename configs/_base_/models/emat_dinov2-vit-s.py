# EMAT on a frozen DINOv2 ViT-S/14 (arXiv 2507.23642), 700x700 -> 50x50 patch tokens: a
# support of 20x20 patches. All kernels and channels are ours.
_base_ = './cst_dinov2-vit-s.py'

model = dict(
    neck=dict(
        type='EfficientCorrelationTransformer',
        support_size=20,
        channels=(32, 64),
        kernels=(5, 4)),
    cls_head=dict(in_channels=64, channels=(32, 32)),
    seg_head=dict(in_channels=64, channels=(32, 32)))
