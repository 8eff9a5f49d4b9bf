# The short recipe with tags for all images and masks for 10 % of them.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_short.py', '../_base_/enhanced_labeler.py']

model = dict(
    supervision='mixed', labeler=dict(_delete_=True, **_base_.enhanced_labeler))
train_dataloader = dict(dataset=dict(masks=0.1))
custom_hooks = [dict(type='PseudoLabelEnhancerHook', num_pictures=16)]
