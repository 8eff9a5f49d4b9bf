# A short budget: hundreds of steps instead of the paper's 10^5. For that long the
# paper's loss alone leaves every pixel background and presence at chance. What changes:
# a Dice term; the classification loss at weight 1; each query paired with a class that
# it shows and one that it does not; warm-up, then cosine decay. Losses and sampler
# belong to other parts of a config, which takes them from here by `_base_.short_losses`
# and `_base_.short_loader`.
_base_ = './schedule_100k.py'

short_losses = dict(
    cls_head=dict(loss_cls=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    seg_head=dict(
        loss_seg=[
            dict(type='CrossEntropyLoss', loss_weight=1.0),
            dict(
                type='DiceLoss',
                use_sigmoid=False,
                ignore_index=0,  # Dice of the foreground
                naive_dice=True,
                eps=1.0,
                loss_weight=1.0),
        ]))
short_loader = dict(
    batch_size=8, sampler=dict(type='TrainEpisodeSampler', paired=True))

max_iters = 500
param_scheduler = [
    dict(type='LinearLR', start_factor=0.03, by_epoch=False, end=30),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=30,
        end=max_iters,
        T_max=max_iters - 30),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=max_iters, save_best=None))
