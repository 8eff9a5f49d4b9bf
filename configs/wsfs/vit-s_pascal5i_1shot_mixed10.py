# CST, DINO ViT-S/8, Pascal-5i, tags for all images and masks for 10 % of them.
_base_ = [
    '../_base_/models/cst_vit-s.py',
    '../_base_/datasets/pascal5i_mixed.py',
    '../_base_/schedules/schedule_100k.py',
    '../_base_/mixed_supervision.py',
    '../_base_/default_runtime.py',
]

model = dict(labeler=dict(_delete_=True, **_base_.mixed.labeler))
train_dataloader = dict(dataset=dict(mask_ratio=0.1))
