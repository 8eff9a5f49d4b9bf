# The backbone trains along, at a twentieth of the head's learning rate.
_base_ = './dinov2-vit-s_fcn_voc12.py'

model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.05))))
