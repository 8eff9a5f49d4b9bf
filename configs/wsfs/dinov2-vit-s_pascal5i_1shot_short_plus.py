# The short recipe, improved: see plus.py; with tags alone, and pseudo-masks by what all
# training images together call foreground.
_base_ = [
    './dinov2-vit-s_pascal5i_1shot_short.py',
    '../_base_/foreground_labeler.py',
    '../_base_/plus.py',
]

model = dict(labeler=dict(_delete_=True, **_base_.foreground_labeler), **_base_.plus)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
