# Pascal-5i with masks at 700x700, for patches of 14 pixels.
_base_ = './pascal5i_pixel.py'

resize = dict(type='Resize', scale=(700, 700), backend='pillow')
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
        support=[_base_.load_image, _base_.load_mask, resize]),
    dict(type='PackEpisodeInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
