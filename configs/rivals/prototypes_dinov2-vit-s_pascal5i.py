# PrototypeSegmentor on pseudo-masks of the supports: tags are all that it is given.
_base_ = './_base_/dinov2-vit-s_pascal5i.py'

model = dict(type='PrototypeSegmentor', supervision='image')
