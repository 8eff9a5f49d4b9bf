# The short recipe at 224x224 -> 16x16 patch tokens, tags for all images and masks for
# 10 % of them.
_base_ = './dinov2-vit-s_pascal5i_1shot_short_mixed10.py'

resize = dict(type='Resize', scale=(224, 224), backend='pillow')
train_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.load_mask, resize],
        support=[_base_.load_image, _base_.load_mask, resize]),
    dict(type='PackEpisodeInputs'),
]
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, resize, _base_.load_mask],
        support=[_base_.load_image, resize]),
    dict(type='PackEpisodeInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
