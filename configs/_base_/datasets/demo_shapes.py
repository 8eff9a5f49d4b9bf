# The made images of mmwsfs/datasets/demo_shapes.py, 224x224 -> 16x16 patches of 14
# pixels. The dataset makes its folder when it is not there.
_base_ = './pascal5i.py'

source = dict(
    type='DemoShapesDataset',
    data_root=_base_.data_root + '/demo_shapes',
    lists='splits/demo',
    img_size=224)
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=source)
test_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    dataset=dict(**source, num_episodes=400))
val_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    dataset=dict(**source, num_episodes=100))
