# CST on a frozen DINO ViT-S/8 (arXiv 2307.03407), 400x400 -> 50x50 patch tokens. What
# follows from the backbone (blocks, heads, widths) is not repeated in other parts. A
# config on top says the supervision: 'image', 'mixed' or 'pixel'.
img_size = 400  # for the datasets, a multiple of the patch size

model = dict(
    type='FewShotSegmentor',
    data_preprocessor=dict(
        type='FewShotDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='DINOVisionTransformer',
        arch='deit-small',
        img_size=224,  # at pretraining
        patch_size=8,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://dl.fbaipublicfiles.com/dino/'
            'dino_deitsmall8_300ep_pretrain/dino_deitsmall8_300ep_pretrain.pth')),
    # The support is resized to 12x12 patches, the product of the kernels.
    neck=dict(type='CorrelationTransformer', channels=(32, 128), kernels=(4, 3)),
    cls_head=dict(
        type='FewShotClsHead',
        loss_cls=dict(type='CrossEntropyLoss', loss_weight=0.1)),
    seg_head=dict(
        type='FewShotSegHead',
        loss_seg=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    labeler=dict(type='AttentionLabeler', threshold=0.4))
