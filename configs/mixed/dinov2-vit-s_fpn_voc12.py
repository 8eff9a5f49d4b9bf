# Our frozen backbone under mmseg's FPN and its FPNHead. MultiLevelNeck makes the four
# scales of a pyramid, 1/4 to 1/32 of about the image, that FPN joins.
_base_ = [
    './_base_/dinov2-vit-s.py', './_base_/voc12.py', './_base_/schedule_4k.py']

model = dict(
    neck=[
        dict(
            type='MultiLevelNeck',
            in_channels=[384, 384, 384, 384],
            out_channels=128,
            scales=[4, 2, 1, 0.5]),
        dict(
            type='FPN',
            in_channels=[128, 128, 128, 128],
            out_channels=128,
            num_outs=4),
    ],
    decode_head=dict(
        type='FPNHead',
        in_channels=(128, 128, 128, 128),
        feature_strides=(4, 8, 16, 32),
        channels=128))
