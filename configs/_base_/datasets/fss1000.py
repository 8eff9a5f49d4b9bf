# FSS-1000: FSS-1000/CLASS/N.jpg with the masks N.png beside (pascal5i.py says what is
# read). The lists of classes, a name a line, are those of the published split (520 to
# train, 240 to validate, 240 to test).
_base_ = './pascal5i.py'

lists = 'splits/{{$MMWSFS_SPLITS:fss1000}}'
source = dict(
    _delete_=True,
    type='FewShotFolderDataset',
    data_root=_base_.data_root,
    data_prefix=dict(img_path='FSS-1000', seg_map_path='FSS-1000'),
    img_suffixes=['.jpg'],
    mask_threshold=128)
train_dataloader = dict(
    dataset=dict(
        **source,
        novel=[f'{lists}/val.txt', f'{lists}/test.txt'],
        split='trn',
        masks='none'))
test_dataloader = dict(
    dataset=dict(
        **source,
        novel=f'{lists}/test.txt',
        split='val',
        way=_base_.way,
        shot=_base_.shot,
        protocol=_base_.protocol,
        num_episodes=1000))
val_dataloader = dict(
    dataset=dict(
        **source,
        novel=f'{lists}/val.txt',
        split='val',
        selection=_base_.selection,  # 'novel': its classes are not those of the test
        num_episodes=1000))
