# CST on DINO ViT-B/16 at 480x480 -> 30x30 patches, Pascal-5i, image-level labels.
_base_ = './vit-b8_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        patch_size=16,
        init_cfg=dict(
            checkpoint='https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/'
            'dino_vitbase16_pretrain.pth')))
train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=480))
