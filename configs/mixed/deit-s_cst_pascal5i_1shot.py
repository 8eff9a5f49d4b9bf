# CST on mmpretrain's own DeiT-S/16, from image-level labels. The labeler's threshold is
# each map's own: 0.4 belongs to DINO ViT-S/8.
_base_ = '../wsfs/vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViTAdapter',
        vit=dict(
            type='mmpretrain.VisionTransformer',
            arch='deit-small',
            img_size=224,
            patch_size=16,
            init_cfg=dict(
                type='Pretrained',
                prefix='backbone.',
                checkpoint='https://mmassets.onedl.ai/mmclassification/v0/deit/'
                'deit-small_pt-4xb256_in1k_20220218-9425b9bb.pth'))),
    labeler=dict(adaptive=0.5))
