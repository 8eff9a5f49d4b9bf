# CST, DINO ViT-S/8, Pascal-5i, tags for all images and masks for 10 % of them.
_base_ = ['./vit-s_pascal5i_1shot.py', '../_base_/enhanced_labeler.py']

model = dict(
    supervision='mixed', labeler=dict(_delete_=True, **_base_.enhanced_labeler))
train_dataloader = dict(dataset=dict(masks=0.1))
custom_hooks = [dict(type='PseudoLabelEnhancerHook', num_pictures=16)]
