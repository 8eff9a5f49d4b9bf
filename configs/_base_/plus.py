# What makes a short budget go further, at no cost in labels and next to none in time:
# the correlation standardised, maps of likeness to the support's object beside it, Dice
# over the batch, a prior for presence. `plus_masks`, for images of which some or all
# carry masks, adds a metric in which cosines tell classes apart. They belong to the
# model, which takes one from here by `_base_`; sizes are the backbone's.
plus = dict(
    neck=dict(standardise=True, prototypes=True),
    cls_head=dict(in_channels=128 + 2 * 12, channels=(64, 64)),
    seg_head=dict(
        in_channels=128 + 2 * 12,
        channels=(64, 64),
        loss_seg=[
            dict(type='CrossEntropyLoss', loss_weight=1.0),
            dict(type='BatchDiceLoss', loss_weight=1.0),
        ]),
    prior=dict(type='PairPrior', num_layers=12, embed_dims=384))
plus_masks = dict(
    plus,
    neck=dict(
        plus['neck'],
        metric=dict(type='DiscriminantMetric', num_layers=12, embed_dims=384)))
