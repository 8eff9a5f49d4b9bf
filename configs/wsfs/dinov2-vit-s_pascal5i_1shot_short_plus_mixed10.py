# The short recipe for tags for all images and masks for 10 %, improved: see plus.py.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_short_mixed10.py', '../_base_/plus.py']

model = dict(**_base_.plus)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
