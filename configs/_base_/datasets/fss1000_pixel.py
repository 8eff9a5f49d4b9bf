# FSS-1000 with masks: the training episodes and the test supports carry theirs.
_base_ = './fss1000_image.py'

train_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.load_mask, _base_.resize],
        support=[_base_.load_image, _base_.load_mask, _base_.resize]),
    dict(type='PackEpisodeInputs'),
]
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.resize, _base_.load_mask],
        support=[_base_.load_image, _base_.load_mask, _base_.resize]),
    dict(type='PackEpisodeInputs'),
]

train_dataloader = dict(dataset=dict(with_masks=True, pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
