# dinov2-vit-s_pascal5i_1shot_short_plus.py at 224x224 -> 16x16 patch tokens, with the
# support resized to 4x4: by the paper's rule, a quarter of the grid.
_base_ = ['./dinov2-vit-s_pascal5i_1shot_quick.py', '../_base_/plus.py']

model = dict(labeler=dict(affinity=20.), **_base_.plus)
model['neck'].update(support_size=4, kernels=(2, 2))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
