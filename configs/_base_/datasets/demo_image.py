# The demo's made images (tools/dataset_converters/demo_shapes.py): 20 classes, 280x280
# pixels -> 20x20 patch tokens of 14 pixels, image-level labels.
_base_ = './pascal5i_image.py'
