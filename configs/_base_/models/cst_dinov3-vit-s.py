# CST on a frozen DINOv3 ViT-S/16, 448x448 -> 28x28 patch tokens. Its files are gated:
# accept the licence at huggingface.co, fetch model.safetensors, and name it by
# model.backbone.init_cfg.checkpoint; the authors' .pth and timm's files do as well.
_base_ = './cst_dinov2-vit-s.py'

img_size = 448
model = dict(
    backbone=dict(
        _delete_=True,
        type='DINOv3VisionTransformer',
        arch='small',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='hf://facebook/dinov3-vits16-pretrain-lvd1689m/'
            'model.safetensors')))
