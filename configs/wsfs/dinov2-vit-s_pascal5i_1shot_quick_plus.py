# dinov2-vit-s_pascal5i_1shot_short_plus.py at 224x224 -> 16x16 patch tokens.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_quick.py', '../_base_/plus.py']

model = dict(labeler=dict(affinity=20.), **_base_.plus)
