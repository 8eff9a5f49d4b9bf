# CST on LingBot-Vision's ViT-S/16, of DINOv3's architecture, at 448x448, Pascal-5i,
# image-level labels. Fetch its file, and put it here or name it by
# model.backbone.init_cfg.checkpoint; arch is 'base' or 'large' for the other sizes.
_base_ = './dinov3-vit-s_pascal5i_1shot.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='checkpoints/lingbot-vision_vits16.safetensors')))
