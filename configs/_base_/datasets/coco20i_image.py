# COCO-20i from image-level labels: the lists carry them, in training no annotation file
# is read. Images in any sub-folders of data/coco are found by their id. For the 2017
# files set `ann_files`; both releases hold the same images, shared out otherwise.
_base_ = './pascal5i_image.py'

load_mask = dict(type='LoadCocoLabelMap')
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.resize, load_mask],
        support=[_base_.load_image, _base_.resize]),
    dict(type='PackEpisodeInputs'),
]

source = dict(
    _delete_=True,
    type='Coco20iDataset',
    data_root=_base_.data_root,
    lists='splits/{{$MMWSFS_SPLITS:coco20i}}',
    fold=_base_.fold)
test_source = dict(
    **source,
    split='val',
    ann_files=['coco/annotations/instances_val2014.json'],
    num_episodes=1000,
    pipeline=test_pipeline)
train_dataloader = dict(
    dataset=dict(
        **source, split='trn', with_masks=False, pipeline=_base_.train_pipeline))
test_dataloader = dict(
    dataset=dict(
        **test_source,
        way=_base_.way,
        shot=_base_.shot,
        protocol=_base_.protocol))
val_dataloader = dict(dataset=test_source)
