# What makes a short budget go further, at next to no cost in time, whatever the labels;
# which of it pays is in docs/experiments/recipes.md. The correlation is standardised,
# and Dice is over the batch; a metric in which cosines tell classes apart, maps of
# likeness to the support's object, and smaller heads; a prior for presence from whole
# images. A model takes it from here by `_base_`.
plus = dict(
    neck=dict(standardise=True),
    metric=dict(type='DiscriminantMetric'),
    prototypes=dict(type='PrototypeMaps'),
    cls_head=dict(channels=(64, 64)),
    seg_head=dict(
        channels=(64, 64),
        loss_seg=[
            dict(type='CrossEntropyLoss', loss_weight=1.0),
            dict(type='BatchDiceLoss', loss_weight=1.0),
        ]),
    prior=dict(type='WholeImagePrior'))
