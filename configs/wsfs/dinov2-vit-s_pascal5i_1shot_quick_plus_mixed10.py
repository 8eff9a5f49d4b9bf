# dinov2-vit-s_pascal5i_1shot_quick_plus.py with tags for all images and masks for
# 10 % of them: see plus_masks in plus.py.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_quick_mixed10.py', '../_base_/plus.py']

model = dict(**_base_.plus_masks)
model['neck'].update(support_size=4, kernels=(2, 2))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
default_hooks = dict(metric=dict(type='DiscriminantMetricHook'))
