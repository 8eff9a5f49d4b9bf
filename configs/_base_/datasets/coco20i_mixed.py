# COCO-20i, where some of the training images carry masks and all carry tags: how many,
# says the config on top by `mask_ratio` or `mask_list`. Test supports carry none.
_base_ = './coco20i_image.py'

train_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.load_mask, _base_.resize],
        support=[_base_.load_image, _base_.load_mask, _base_.resize]),
    dict(type='PackEpisodeInputs'),
]

train_dataloader = dict(
    dataset=dict(
        with_masks=True,
        ann_files=['coco/annotations/instances_train2014.json'],
        pipeline=train_pipeline))
