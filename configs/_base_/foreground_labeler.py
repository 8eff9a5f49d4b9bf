# The labeler of tags that learns from all training images together, in closed form
# before training, what is foreground. A model takes it from here by `_base_`.
foreground_labeler = dict(type='ForegroundLabeler')
