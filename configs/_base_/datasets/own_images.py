# Your own images by their tags alone: no mask is read. A config on top says where they
# are (`data_root`) and which classes are kept out of training (`novel`).
way = int('{{$MMWSFS_WAY:1}}')
shot = int('{{$MMWSFS_SHOT:1}}')
protocol = '{{$MMWSFS_PROTOCOL:FS-CS}}'

train_dataloader = dict(
    batch_size=12,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='TrainEpisodeSampler'),
    dataset=dict(type='FewShotFolderDataset', split='trn', masks='none'))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalEpisodeSampler'),
    dataset=dict(
        type='FewShotFolderDataset',
        split='val',
        masks='none',
        way=way,
        shot=shot,
        protocol=protocol,
        num_episodes=400))
test_evaluator = dict(
    type='FewShotMetric', void='ignored' if protocol == 'FS-S' else 'background')
