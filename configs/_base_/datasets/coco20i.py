# COCO-20i: the lists carry the tags, masks are drawn from the annotations, which are
# read where masks are asked for (see pascal5i.py). Images in any sub-folders of
# data/coco are found by their id. For the 2017 files set `ann_files`; both releases
# hold the same images, shared out otherwise.
_base_ = './pascal5i.py'

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
    num_episodes=1000)
train_dataloader = dict(
    dataset=dict(
        **source,
        split='trn',
        ann_files=['coco/annotations/instances_train2014.json'],
        masks='none'))
test_dataloader = dict(
    dataset=dict(
        **test_source,
        way=_base_.way,
        shot=_base_.shot,
        protocol=_base_.protocol))
val_dataloader = dict(dataset=dict(**test_source, selection=_base_.selection))
