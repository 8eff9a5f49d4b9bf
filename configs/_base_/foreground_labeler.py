# The labeler that learns from all training images together, in closed form before
# training, what is foreground: for tags alone and, with a probe of the classes of which
# some images carry masks, for mixed supervision. A model takes one from here by
# `_base_`.
foreground_labeler = dict(type='ForegroundLabeler')
foreground_labeler_with_probe = dict(
    type='ForegroundLabeler', probe=dict(type='ClassProbe', num_classes=80))
