# The short recipe with a prior for presence: how alike the two images are as a whole.
_base_ = './dinov2-vit-s_pascal5i_1shot_short.py'

model = dict(prior=dict(type='PairPrior', num_layers=12, embed_dims=384))
