# PrototypeSegmentor on given masks of the supports.
_base_ = './_base_/dinov2-vit-s_pascal5i.py'

model = dict(type='PrototypeSegmentor', supervision='pixel')
test_dataloader = dict(dataset=dict(support_masks=True))
