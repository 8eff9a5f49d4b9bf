# The improved short recipe for tags alone at 224x224 -> 16x16 patch tokens, with a
# support of 4x4: by the paper's rule, a quarter of the grid.
_base_ = './dinov2-vit-s_pascal5i_1shot_short_plus.py'

model = dict(neck=dict(kernels=(2, 2)))
train_dataloader = val_dataloader = test_dataloader = dict(
    dataset=dict(img_size=224))
