# dinov2-vit-s_pascal5i_1shot_quick_plus.py with masks for all images: see
# plus_masks in plus.py.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_quick_pixel.py', '../_base_/plus.py']

model = dict(**_base_.plus_masks)
model['neck'].update(support_size=4, kernels=(2, 2))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
default_hooks = dict(metric=dict(type='DiscriminantMetricHook'))
