# CST, DINO ViT-S/8, Pascal-5i, masks for all images: the paper's settings.
_base_ = './vit-s_pascal5i_1shot.py'

model = dict(supervision='pixel')
train_dataloader = dict(dataset=dict(masks='all'))
val_dataloader = test_dataloader = dict(dataset=dict(support_masks=True))
custom_hooks = []
