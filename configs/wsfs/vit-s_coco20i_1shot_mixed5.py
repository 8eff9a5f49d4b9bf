# CST, DINO ViT-S/8, COCO-20i, tags for all images and masks for 5 % of them.
_base_ = './vit-s_coco20i_1shot_mixed10.py'

train_dataloader = dict(dataset=dict(masks=0.05))
