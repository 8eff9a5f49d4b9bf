# The short recipe for tags for all images and masks for 10 %, improved: see plus.py;
# with pseudo-masks by what all training images together call foreground.
_base_ = [
    './dinov2-vit-s_pascal5i_1shot_short_mixed10.py',
    '../_base_/foreground_labeler.py',
    '../_base_/plus.py',
]

model = dict(
    labeler=dict(_delete_=True, **_base_.foreground_labeler_with_probe), **_base_.plus)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
