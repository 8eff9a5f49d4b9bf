# COCO-20i with masks for some of the training images (see coco20i_mixed.py) at 392x392,
# for patches of 14 pixels.
_base_ = './coco20i_image_392.py'

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
