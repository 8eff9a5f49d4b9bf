# Our backbone in an ordinary mmseg model: DINO ViT-S/8, frozen, under EncoderDecoder
# and FCNHead, for semantic segmentation of VOC 2012. Everything but the backbone is
# mmseg's; run it with mmseg's own tools or ours.
_base_ = './dinov2-vit-s_fcn_voc12.py'

model = dict(
    data_preprocessor=dict(size_divisor=8),
    backbone=dict(
        arch='deit-small',
        img_size=224,
        patch_size=8,
        layer_scale_init_value=0.,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/'
            'dino_deitsmall8_pretrain/dino_deitsmall8_pretrain.pth')))
