# The labeler of mixed supervision: an enhancer, trained first on the images that carry
# masks, makes the pseudo-masks of all others, with the help of a probe of the classes,
# which has room for those of COCO. A model takes it from here by `_base_`.
enhanced_labeler = dict(
    type='EnhancedLabeler',
    enhancer=dict(type='PseudoLabelEnhancer'),
    probe=dict(type='ClassProbe', num_classes=80))
