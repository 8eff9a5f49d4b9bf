# dinov2-vit-s_pascal5i_1shot_quick_plus.py with masks for all images.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_quick_pixel.py', '../_base_/plus.py']

model = dict(**_base_.plus)
