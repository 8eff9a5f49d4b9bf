# The made images at 224x224, where some of those for training carry masks and all carry
# tags: how many, says the config on top by `mask_ratio` or `mask_list`.
_base_ = './demo_shapes.py'

train_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.load_mask, _base_.resize],
        support=[_base_.load_image, _base_.load_mask, _base_.resize]),
    dict(type='PackEpisodeInputs'),
]

train_dataloader = dict(dataset=dict(with_masks=True, pipeline=train_pipeline))
