# Pascal-5i. In training no mask file is opened or needed, unless a config on top sets
# `masks`; test supports carry masks where it sets `support_masks`. It sets `img_size`.
# Fold, way, shot, protocol and validation's selection are set once, for everything, by
# the environment.
data_root = '{{$MMWSFS_DATA_ROOT:data}}'
fold = int('{{$MMWSFS_FOLD:0}}')
way = int('{{$MMWSFS_WAY:1}}')
shot = int('{{$MMWSFS_SHOT:1}}')
protocol = '{{$MMWSFS_PROTOCOL:FS-CS}}'
selection = '{{$MMWSFS_SELECTION:novel}}'

source = dict(
    type='Pascal5iDataset',
    data_root=data_root,
    lists='splits/{{$MMWSFS_SPLITS:pascal5i}}',
    fold=fold)
train_dataloader = dict(
    batch_size=12,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='TrainEpisodeSampler'),
    dataset=dict(**source, split='trn', masks='none'))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalEpisodeSampler'),
    dataset=dict(
        **source,
        split='val',
        way=way,
        shot=shot,
        protocol=protocol,
        num_episodes=1000))
# The published protocol chooses the checkpoint on the test episodes, 1-way 1-shot;
# selection 'base' on photographs of base classes that neither training nor test shows.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalEpisodeSampler'),
    dataset=dict(**source, split='val', selection=selection, num_episodes=1000))

val_evaluator = dict(type='FewShotMetric', void='background')
# Few-shot segmentation (FS-S) leaves void pixels out, FS-CS counts them as background.
test_evaluator = dict(
    type='FewShotMetric', void='ignored' if protocol == 'FS-S' else 'background')
