# The improved short recipe for tags alone at 224x224 -> 16x16 patch tokens.
_base_ = './dinov2-vit-s_pascal5i_1shot_short_plus.py'

train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=224))
