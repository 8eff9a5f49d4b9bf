# Mixed supervision: an enhancer, trained first on the images that carry masks, makes
# the pseudo-masks of all others. The labeler belongs to the model, which takes it from
# here by `_base_.mixed`; its number of heads is the backbone's.
mixed = dict(
    labeler=dict(
        type='EnhancedLabeler',
        enhancer=dict(type='PseudoLabelEnhancer', num_heads=6),
        threshold=0.5))
custom_hooks = [dict(type='PseudoLabelEnhancerHook', num_pictures=16)]
