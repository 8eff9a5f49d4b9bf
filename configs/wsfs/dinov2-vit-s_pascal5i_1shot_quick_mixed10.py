# The short recipe at 224x224 -> 16x16 patch tokens, tags for all images and masks for
# 10 % of them.
_base_ = './dinov2-vit-s_pascal5i_1shot_short_mixed10.py'

train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=224))
