# EMAT on a frozen DINOv2 ViT-S/14 (arXiv 2507.23642), 700x700 -> 50x50 patch tokens: a
# support of 20x20 patches where CST keeps 12x12, and fewer parameters. The support's
# size is EMAT's, how it is pooled and all channels are ours.
_base_ = './cst_dinov2-vit-s.py'

img_size = 700
model = dict(
    neck=dict(channels=(32, 64), kernels=(5, 4)),
    cls_head=dict(channels=(32, 32)),
    seg_head=dict(channels=(32, 32)))
