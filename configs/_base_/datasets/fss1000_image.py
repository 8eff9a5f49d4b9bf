# FSS-1000 from image-level labels: FSS-1000/CLASS/N.jpg with the masks N.png beside.
# The lists of classes, a name a line, are those of the published split (520 to train,
# 240 to validate, 240 to test).
_base_ = './pascal5i_image.py'

load_mask = dict(type='LoadObjectMask', threshold=128)
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, _base_.resize, load_mask],
        support=[_base_.load_image, _base_.resize]),
    dict(type='PackEpisodeInputs'),
]

lists = 'splits/{{$MMWSFS_SPLITS:fss1000}}'
source = dict(
    _delete_=True,
    type='FewShotFolderDataset',
    data_root=_base_.data_root,
    data_prefix=dict(img_path='FSS-1000', seg_map_path='FSS-1000'),
    img_suffixes=['.jpg'])
train_dataloader = dict(
    dataset=dict(
        **source,
        novel=[f'{lists}/val.txt', f'{lists}/test.txt'],
        split='trn',
        with_masks=False,
        pipeline=_base_.train_pipeline))
test_dataloader = dict(
    dataset=dict(
        **source,
        novel=f'{lists}/test.txt',
        split='val',
        way=_base_.way,
        shot=_base_.shot,
        protocol=_base_.protocol,
        num_episodes=1000,
        pipeline=test_pipeline))
val_dataloader = dict(
    dataset=dict(
        **source,
        novel=f'{lists}/val.txt',
        split='val',
        num_episodes=1000,
        pipeline=test_pipeline))
