# CST on mmpretrain's own ViT-B/16 with MAE's weights. ViTAdapter gives what the
# few-shot model asks for; sizes of all other parts follow.
_base_ = '../wsfs/vit-s_pascal5i_1shot_pixel.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViTAdapter',
        vit=dict(
            type='mmpretrain.VisionTransformer',
            arch='base',
            img_size=224,
            patch_size=16,
            init_cfg=dict(
                type='Pretrained',
                prefix='backbone.',
                checkpoint='https://mmassets.onedl.ai/mmselfsup/1.x/mae/'
                'mae_vit-base-p16_8xb512-fp16-coslr-1600e_in1k/'
                'mae_vit-base-p16_8xb512-fp16-coslr-1600e_in1k_20220825-f7569ca2.pth'
            ))))
