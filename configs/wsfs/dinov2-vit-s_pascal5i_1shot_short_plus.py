# The short recipe with what helps tags alone: see plus.py, and pseudo-masks spread over
# patches of like keys.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_short.py', '../_base_/plus.py']

model = dict(labeler=dict(affinity=20.), **_base_.plus)
