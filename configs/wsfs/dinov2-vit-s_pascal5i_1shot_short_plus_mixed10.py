# dinov2-vit-s_pascal5i_1shot_short_plus.py with tags for all images and masks for
# 10 % of them.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_short_mixed10.py', '../_base_/plus.py']

model = dict(**_base_.plus)
