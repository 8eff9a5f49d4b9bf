# Pascal-5i from image-level labels: in training no mask file is opened or needed.
# Fold, way, shot and protocol are set once, for everything, by the environment.
data_root = '{{$MMWSFS_DATA_ROOT:data}}'
lists = 'splits/{{$MMWSFS_SPLITS:pascal5i}}'
fold = int('{{$MMWSFS_FOLD:0}}')
way = int('{{$MMWSFS_WAY:1}}')
shot = int('{{$MMWSFS_SHOT:1}}')
protocol = '{{$MMWSFS_PROTOCOL:FS-CS}}'
img_size = 400

load_image = dict(type='LoadImageFromFile', imdecode_backend='pillow')
resize = dict(type='Resize', scale=(img_size, img_size), backend='pillow')
load_mask = dict(type='LoadLabelMap')

train_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[load_image, resize],
        support=[load_image, resize]),
    dict(type='PackEpisodeInputs'),
]
# The query's mask is loaded after the resize: it is scored at its original size.
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[load_image, resize, load_mask],
        support=[load_image, resize]),
    dict(type='PackEpisodeInputs'),
]

train_dataloader = dict(
    batch_size=12,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='TrainEpisodeSampler'),
    dataset=dict(
        type='Pascal5iDataset',
        data_root=data_root,
        lists=lists,
        fold=fold,
        split='trn',
        with_masks=False,
        pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalEpisodeSampler'),
    dataset=dict(
        type='Pascal5iDataset',
        data_root=data_root,
        lists=lists,
        fold=fold,
        split='val',
        way=way,
        shot=shot,
        protocol=protocol,
        num_episodes=1000,
        pipeline=test_pipeline))
# The published protocol chooses the checkpoint on the test episodes, 1-way 1-shot.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EvalEpisodeSampler'),
    dataset=dict(
        type='Pascal5iDataset',
        data_root=data_root,
        lists=lists,
        fold=fold,
        split='val',
        num_episodes=1000,
        pipeline=test_pipeline))

val_evaluator = dict(type='FewShotMetric', void='background')
# Few-shot segmentation (FS-S) leaves void pixels out, FS-CS counts them as background.
test_evaluator = dict(
    type='FewShotMetric', void='ignored' if protocol == 'FS-S' else 'background')
