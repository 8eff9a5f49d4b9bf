# CST, DINO ViT-S/8, COCO-20i, masks for all images: the paper's settings.
_base_ = './vit-s_coco20i_1shot.py'

model = dict(supervision='pixel')
train_dataloader = dict(dataset=dict(masks='all'))
val_dataloader = test_dataloader = dict(dataset=dict(support_masks=True))
custom_hooks = []
