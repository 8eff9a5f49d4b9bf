# Weakly supervised semantic segmentation: the FCNHead learns from image-level tags. The
# frozen backbone under it labels the training images by its attention, as in few-shot
# learning from image-level labels; masks are opened in validation alone.
_base_ = './dinov2-vit-s_fcn_voc12.py'

load = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmwsfs.LoadTags',
        tag_file='{{$MMWSFS_TAGS:data/voc12_tags.csv}}',
        img_dir='{{$MMWSFS_DATA_ROOT:data}}/VOCdevkit/VOC2012/JPEGImages'),
    dict(type='Resize', scale=_base_.img_size, keep_ratio=False),
]
pack = dict(type='PackSegInputs', meta_keys=('img_path', 'tags'))
train_dataloader = dict(
    dataset=dict(pipeline=[*load, dict(type='RandomFlip', prob=0.5), pack]))
custom_hooks = [
    dict(
        type='mmwsfs.TagSupervisionHook',
        labeler=dict(
            type='mmwsfs.AttentionLabeler', adaptive=0.5, affinity=20.),
        pipeline=[*load, pack]),
]
