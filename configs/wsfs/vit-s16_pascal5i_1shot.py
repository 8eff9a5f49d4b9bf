# CST on DINO ViT-S/16 at 480x480 -> 30x30 patches, Pascal-5i, image-level labels.
_base_ = './vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        patch_size=16,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain/'
            'dino_deitsmall16_pretrain.pth')),
    # 0.4 belongs to DINO ViT-S/8: each map's own mean + std / 2.
    labeler=dict(adaptive=0.5))
train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=480))
