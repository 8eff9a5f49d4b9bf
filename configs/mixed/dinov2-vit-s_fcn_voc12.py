# Our frozen backbone under mmseg's FCNHead, which reads the last of the four blocks
# beside the third.
_base_ = [
    './_base_/dinov2-vit-s.py', './_base_/voc12.py', './_base_/schedule_4k.py']

model = dict(
    backbone=dict(out_indices=(8, 11)),
    decode_head=dict(
        type='FCNHead',
        in_channels=(384, 384),
        in_index=(0, 1),
        input_transform='resize_concat',
        channels=256,
        num_convs=1,
        concat_input=False))
