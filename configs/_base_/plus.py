# What makes a short budget go further, at no cost in labels and next to none in time:
# the correlation standardised, Dice over the batch, a prior for presence. It belongs to
# the model, which takes it from here by `_base_.plus`; sizes are the backbone's.
plus = dict(
    neck=dict(standardise=True),
    seg_head=dict(loss_seg=[
        dict(type='CrossEntropyLoss', loss_weight=1.0),
        dict(type='BatchDiceLoss', loss_weight=1.0),
    ]),
    prior=dict(type='PairPrior', num_layers=12, embed_dims=384))
