# CST on DINOv2 ViT-S/14 at 392x392, COCO-20i, masks for all images.
_base_ = './dinov2-vit-s_coco20i_1shot.py'

model = dict(supervision='pixel')
train_dataloader = dict(dataset=dict(masks='all'))
val_dataloader = test_dataloader = dict(dataset=dict(support_masks=True))
custom_hooks = []
