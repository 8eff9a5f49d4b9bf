# The short recipe with masks for all images.
_base_ = './dinov2-vit-s_pascal5i_1shot_short.py'

model = dict(supervision='pixel')
train_dataloader = dict(dataset=dict(masks='all'))
val_dataloader = test_dataloader = dict(dataset=dict(support_masks=True))
custom_hooks = []
