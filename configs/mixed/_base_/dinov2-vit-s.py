# An EncoderDecoder of mmseg on our frozen DINOv2 ViT-S/14: the maps of four blocks, all
# on the one grid of patches. A config on top sets the head, and a neck where the head
# wants a pyramid.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=14),
    backbone=dict(
        type='mmwsfs.DINOVisionTransformer',
        arch='dinov2-small',
        img_size=518,  # at pretraining
        patch_size=14,
        layer_scale_init_value=1.0,
        out_indices=(2, 5, 8, 11),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
            'dinov2_vits14_pretrain.pth')),
    decode_head=dict(
        in_channels=(384, 384, 384, 384),
        in_index=(0, 1, 2, 3),
        num_classes=21,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
