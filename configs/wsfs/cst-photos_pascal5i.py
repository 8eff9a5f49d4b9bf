# How good cst-photos.py is at classes that it has not seen: trained in the same way,
# but on VOC without the fold's classes, as Pascal-5i has it, and on photographs of COCO
# that show none of them; tested on the fold.
_base_ = './cst-photos.py'

fold = int('{{$MMWSFS_FOLD:0}}')
way = int('{{$MMWSFS_WAY:1}}')
shot = int('{{$MMWSFS_SHOT:1}}')
protocol = '{{$MMWSFS_PROTOCOL:FS-CS}}'
# Of every fold its classes as COCO calls them.
held_out = [
    ['airplane', 'bicycle', 'bird', 'boat', 'bottle'],
    ['bus', 'car', 'cat', 'chair', 'cow'],
    ['dining table', 'dog', 'horse', 'motorcycle', 'person'],
    ['potted plant', 'sheep', 'couch', 'train', 'tv'],
][fold]
voc = dict(_base_.voc, fold=fold)
coco = dict(_base_.coco, leave_out=held_out)
train_dataloader = dict(dataset=dict(datasets=[voc, coco]))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='Pascal5iDataset',
        data_root=_base_.data_root,
        lists=_base_.voc.lists,
        fold=fold,
        split='val',
        img_size=_base_.img_size,
        way=way,
        shot=shot,
        protocol=protocol,
        num_episodes=1000))
test_evaluator = dict(void='ignored' if protocol == 'FS-S' else 'background')
