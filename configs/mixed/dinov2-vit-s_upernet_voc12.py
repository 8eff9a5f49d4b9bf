# Our frozen backbone under mmseg's UPerHead. A plain ViT has one scale: Feature2Pyramid
# makes four of its four blocks, as for mmseg's BEiT and MAE.
_base_ = [
    './_base_/dinov2-vit-s.py', './_base_/voc12.py', './_base_/schedule_4k.py']

model = dict(
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=384,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='BN')),
    decode_head=dict(type='UPerHead', pool_scales=(1, 2, 3, 6), channels=128))
