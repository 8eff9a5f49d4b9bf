# The bare pseudo-masks of cst-photos' labeler as predictions, every class called
# present: tested with the checkpoint of the training whose labeler it is.
_base_ = './cst-photos_pascal5i.py'

model = dict(type='PseudoMaskSegmentor')
