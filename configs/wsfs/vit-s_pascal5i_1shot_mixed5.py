# CST, DINO ViT-S/8, Pascal-5i, tags for all images and masks for 5 % of them.
_base_ = './vit-s_pascal5i_1shot_mixed10.py'

train_dataloader = dict(dataset=dict(masks=0.05))
