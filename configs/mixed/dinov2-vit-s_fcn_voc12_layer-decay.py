# The lower half of the backbone is frozen; above, every block learns 0.65 times as fast
# as the one after it.
_base_ = './dinov2-vit-s_fcn_voc12.py'

model = dict(backbone=dict(frozen=False, frozen_stages=6))
optim_wrapper = dict(
    constructor='mmwsfs.LayerDecayOptimWrapperConstructor',
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(
        layer_decay_rate=0.65, norm_decay_mult=0., bias_decay_mult=0.))
