# What makes a short budget go further, at next to no cost in time; which of it pays,
# and for which labels, is in docs/experiments/recipes.md. With tags alone: the
# correlation standardised, Dice over the batch, a prior for presence. Where some or all
# images carry masks there come to them a metric in which cosines tell classes apart and
# maps of likeness to the support's object, with smaller heads. A model takes one of the
# two from here by `_base_`.
batch_dice = [
    dict(type='CrossEntropyLoss', loss_weight=1.0),
    dict(type='BatchDiceLoss', loss_weight=1.0),
]
plus = dict(
    neck=dict(standardise=True),
    seg_head=dict(loss_seg=batch_dice),
    prior=dict(type='WholeImagePrior'))
plus_masks = dict(
    neck=dict(standardise=True),
    metric=dict(type='DiscriminantMetric'),
    prototypes=dict(type='PrototypeMaps'),
    cls_head=dict(channels=(64, 64)),
    seg_head=dict(channels=(64, 64), loss_seg=batch_dice),
    prior=dict(type='WholeImagePrior'))
