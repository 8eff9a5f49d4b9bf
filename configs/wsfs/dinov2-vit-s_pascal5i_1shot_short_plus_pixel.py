# The short recipe for masks for all images, with what helps: see plus.py.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_short_pixel.py', '../_base_/plus.py']

model = dict(**_base_.plus)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
