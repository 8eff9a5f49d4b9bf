# Mixed supervision: an enhancer, trained first on the images that carry masks, makes
# the pseudo-masks of all others, with the help of a probe of the classes. The labeler
# belongs to the model, which takes it from here by `_base_.mixed`; its number of heads
# and its width are the backbone's, and it has room for the classes of COCO.
mixed = dict(
    labeler=dict(
        type='EnhancedLabeler',
        enhancer=dict(type='PseudoLabelEnhancer', num_heads=6),
        probe=dict(type='ClassProbe', num_classes=80, layers=(9, 11), embed_dims=384),
        threshold=0.5))
custom_hooks = [dict(type='PseudoLabelEnhancerHook', num_pictures=16)]
