# The paper's: Adam, constant learning rate, about 10^5 steps of 12 episodes, the best
# checkpoint by validation mIoU.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = []
train_cfg = dict(type='IterBasedTrainLoop', max_iters=100000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=2000,
        max_keep_ckpts=2,  # the last, and one should that be damaged
        save_best='mIoU',
        rule='greater'),
    invalid_loss=dict(type='InvalidLossHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='FewShotVisualizationHook'),
    report=dict(type='EpisodeReportHook'),
    feature_cache=dict(type='FeatureCacheHook'),
    fitting=dict(type='FittingHook'),
    calibration=dict(type='CalibrationHook'))
