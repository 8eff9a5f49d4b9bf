# The made images of mmwsfs/datasets/demo_shapes.py, 224x224 -> 16x16 patches of 14
# pixels, image-level labels. The dataset makes its folder when it is not there.
_base_ = './pascal5i_image.py'

resize = dict(type='Resize', scale=(224, 224), backend='pillow')
train_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, resize],
        support=[_base_.load_image, resize]),
    dict(type='PackEpisodeInputs'),
]
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, resize, _base_.load_mask],
        support=[_base_.load_image, resize]),
    dict(type='PackEpisodeInputs'),
]

source = dict(
    type='DemoShapesDataset',
    data_root=_base_.data_root + '/demo_shapes',
    lists='splits/demo')
train_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(**source, pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    dataset=dict(**source, num_episodes=400, pipeline=test_pipeline))
val_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    dataset=dict(**source, num_episodes=100, pipeline=test_pipeline))
