# Our frozen backbone under mmseg's SegformerHead, which takes maps of any size: the
# four blocks need no neck.
_base_ = [
    './_base_/dinov2-vit-s.py', './_base_/voc12.py', './_base_/schedule_4k.py']

model = dict(decode_head=dict(type='SegformerHead', channels=256))
