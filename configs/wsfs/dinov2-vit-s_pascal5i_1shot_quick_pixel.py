# The short recipe at 224x224 -> 16x16 patch tokens, masks for all images.
_base_ = './dinov2-vit-s_pascal5i_1shot_short_pixel.py'

train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=224))
