# The improved short recipe for tags alone at 224x224 -> 16x16 patch tokens, with
# pseudo-masks by what all training images together call foreground.
_base_ = [
    './dinov2-vit-s_pascal5i_1shot_quick_plus.py', '../_base_/foreground_labeler.py']

model = dict(labeler=dict(_delete_=True, **_base_.foreground_labeler))
