# The short recipe with what helps at no cost: pseudo-masks spread over patches of like
# keys, and a prior for presence, how alike the two images are as a whole.
_base_ = './dinov2-vit-s_pascal5i_1shot_short.py'

model = dict(
    labeler=dict(affinity=20.),
    prior=dict(type='PairPrior', num_layers=12, embed_dims=384))
