# At 224x224 -> 16x16 patch tokens.
_base_ = './prototypes_dinov2-vit-s_pascal5i.py'

test_dataloader = dict(dataset=dict(img_size=224))
