# CST on the stages of a ResNet-50, with masks: a CNN has no attention to make
# pseudo-masks of.
_base_ = '../wsfs/vit-s_pascal5i_1shot_pixel.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='CNNAdapter',
        channels=[256, 512, 1024, 2048],
        cnn=dict(
            type='mmpretrain.ResNet',
            depth=50,
            out_indices=(0, 1, 2, 3),
            init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'))))
