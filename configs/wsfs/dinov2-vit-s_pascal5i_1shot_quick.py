# The short recipe at 224x224 -> 16x16 patch tokens, image-level labels: to try things
# out in minutes on two CPU cores.
_base_ = './dinov2-vit-s_pascal5i_1shot_short.py'

train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=224))
