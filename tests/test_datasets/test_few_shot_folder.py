"""FewShotFolderDataset: class folders, tag files, novel classes, masks, errors."""
from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import default_collate
from PIL import Image

from mmwsfs.datasets import EpisodeKey, FewShotFolderDataset, entry_list
from mmwsfs.registry import DATASETS

REPO = Path(__file__).parents[2]
SIZE = (24, 36)  # height, width
Build = Callable[..., FewShotFolderDataset]


def photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, value: int = 255, size: tuple[int, int] = SIZE) -> None:
    """Left half background, right half an object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size, np.uint8)
    pixels[:, size[1] // 2:] = value
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four classes of three images, with masks."""
    for number, name in enumerate(['zebra', 'ant', 'big cow', 'bee']):
        for index, suffix in enumerate(['.jpg', '.PNG', '.webp']):
            photo(tmp_path / f'images/{name}/{index}{suffix}', 10 * number + index)
            mask(tmp_path / f'masks/{name}/{index}.png')
    return tmp_path


@pytest.fixture
def build(root: Path) -> Build:
    """Makes a dataset of the tags alone: novel 'bee', val, if not told other."""
    def make(**kwargs) -> FewShotFolderDataset:
        return FewShotFolderDataset(**{**dict(
            data_root=str(root), novel=['bee'], split='val', masks='none',
            pipeline=[]),
            **kwargs})
    return make


def tag_csv(root: Path, *rows: str) -> str:
    (root / 'tags.csv').write_text('\n'.join(['image,labels', *rows, '']))
    return 'tags.csv'


# ------------------------------------------------------------- class folders
def test_classes_and_entries(root: Path, build: Build) -> None:
    """Numbers by sorted names; hidden and other files are no images."""
    (root / 'images/bee/notes.txt').write_text('')
    (root / 'images/bee/._0.jpg').write_text('')
    (root / 'images/.cache').mkdir()
    (root / 'images/readme.jpg').write_text('')
    dataset = build(novel=['bee', 'zebra'], shot=2)
    assert dataset.metainfo['classes'] == ('ant', 'bee', 'big cow', 'zebra')
    assert dataset.metainfo['class_ids'] == [2, 4]
    assert dataset.metainfo['fold'] is None and dataset.metainfo['shot'] == 2
    assert [(entry['name'], entry['class_id']) for entry in dataset.data_list] == [
        ('bee/0.jpg', 2), ('bee/1.PNG', 2), ('bee/2.webp', 2),
        ('zebra/0.jpg', 4), ('zebra/1.PNG', 4), ('zebra/2.webp', 4)]
    assert build(split='trn').metainfo['class_ids'] == [1, 3, 4]
    assert build(split='trn', novel=[]).metainfo['class_ids'] == [1, 2, 3, 4]


def test_episodes_without_masks(
        root: Path, build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """Tags alone: the images are those of the folders, presence is the folder's."""
    (root / 'masks').rename(root / 'elsewhere')
    dataset = build(
        novel=['bee', 'ant'], shot=2, num_episodes=12, pipeline=make_pipeline())
    seen = set()
    for number in range(12):
        item = dataset[number]
        sample = item['data_samples']
        query = Path(sample.query_path)
        (name, ) = [dataset.metainfo['classes'][n - 1] for n in sample.class_ids]
        assert query.is_file() and query.parent.parent == root / 'images'
        for path in sample.support_paths[0]:
            assert Path(path).parent.name == name
        assert str(query) not in sample.support_paths[0]
        assert sample.gt_presence.tolist() == [query.parent.name == name]
        assert 'gt_sem_seg' not in sample and 'support_masks' not in sample
        seen.add((query.parent.name, name))
    assert seen == {(a, b) for a in ('bee', 'ant') for b in ('bee', 'ant')}


def test_training_episodes_batch(
        build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    dataset = build(split='trn', pipeline=make_pipeline())
    batch = default_collate([dataset[EpisodeKey(2, 5, False)]['inputs']])
    assert batch['query'].shape == (1, 3, 32, 32)
    for index in range(len(dataset)):
        own = dataset.data_list[index]['class_id']
        assert dataset.draw(EpisodeKey(index, 1, True)).classes == (own, )
        assert dataset.draw(EpisodeKey(index, 1, False)).classes != (own, )


def folder_pipeline(
        make_pipeline: Callable[..., list[dict]], **settings) -> list[dict]:
    """With LoadObjectMask for the query and the supports."""
    pipeline = make_pipeline(True, True, SIZE[0])
    for role in ('query', 'support'):
        pipeline[0][role] = [
            dict(type='LoadObjectMask', **settings)
            if step['type'] == 'LoadLabelMap' else step for step in pipeline[0][role]]
    return pipeline


def test_masks_of_class_folders(
        build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """A mask is of its folder's class alone: for another way it shows nothing."""
    dataset = build(
        novel=['bee', 'ant'], way=2, masks='all', num_episodes=6,
        pipeline=folder_pipeline(make_pipeline))
    right_half = np.zeros(SIZE, int)
    right_half[:, SIZE[1] // 2:] = 1
    for number in range(6):
        sample = dataset[number]['data_samples']
        own = dataset.metainfo['classes'].index(Path(sample.query_path).parent.name) + 1
        way = sample.class_ids.index(own) + 1
        assert np.array_equal(sample.gt_sem_seg.data[0], way * right_half)
        assert sample.gt_presence.tolist() == [n == own for n in sample.class_ids]
        assert (sample.support_masks[:, :, :, 12:] == 1).all()
        assert (sample.support_masks[:, :, :, :12] == 0).all()


def test_masks_in_a_folder_among_the_class_folders(root: Path, build: Build) -> None:
    """The mask folder is no class."""
    (root / 'masks').rename(root / 'images/masks')
    dataset = build(
        data_prefix=dict(seg_map_path='images/masks'), masks='all')
    assert dataset.metainfo['classes'] == ('ant', 'bee', 'big cow', 'zebra')


def test_novel_from_files_and_names(root: Path, build: Build) -> None:
    (root / 'test.txt').write_text('bee\n\n big cow \n')
    assert build(novel='test.txt').class_ids == [2, 3]
    assert build(novel=['test.txt', 'ant']).class_ids == [1, 2, 3]
    assert build(novel='zebra').class_ids == [4]
    with pytest.raises(FileNotFoundError, match=r"absent\.txt' does not exist"):
        build(novel='absent.txt')


def test_folders_named_by_numbers(root: Path, build: Build) -> None:
    """A config, or YAML, gives numbers: they are the names that they spell."""
    for number, name in enumerate(['ant', 'bee', 'big cow', 'zebra'], start=1):
        (root / 'images' / name).rename(root / f'images/{number}')
    assert build(novel=[1, 2]).class_ids == build(novel=['1', '2']).class_ids == [1, 2]
    assert build(novel=3).class_ids == [3]
    assert build(split='trn', novel=[1, 2]).class_ids == [3, 4]
    ordered = build(novel=1, metainfo=dict(classes=[4, 3, 2, 1]))
    assert ordered.metainfo['classes'] == ('4', '3', '2', '1')
    assert ordered.class_ids == [4]
    with pytest.raises(ValueError, match=r"novel names \['7'\], but .* are \['1', "):
        build(novel=[1, 7])


def test_one_class(root: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presence can neither be learned from it nor be tested on it."""
    lines: list[str] = []
    monkeypatch.setattr(
        entry_list, 'print_log', lambda line, *args: lines.append(line))
    with pytest.raises(ValueError, match=r"class 4 \('zebra'\).*only learn 'present'"):
        build(split='trn', novel=['ant', 'bee', 'big cow'])
    assert lines == [] and len(build(novel='zebra')) == 3
    assert len(lines) == 1 and "class 4 ('zebra')" in lines[0]


@pytest.mark.parametrize('form', ['NFC', 'NFD'])
def test_names_composed_either_way(
        root: Path, build: Build, make_pipeline: Callable, form: str) -> None:
    """macOS writes ü as two characters; configs, lists and folders need not agree."""
    for parent in ('images', 'masks'):
        (root / parent / 'bee').rename(
            root / parent / unicodedata.normalize(form, 'Kühe'))
    (root / 'images' / unicodedata.normalize(form, 'Kühe') / '0.jpg').rename(
        root / 'images' / unicodedata.normalize(form, 'Kühe/groß é.jpg'))
    (root / 'masks' / unicodedata.normalize(form, 'Kühe') / '0.png').rename(
        root / 'masks' / unicodedata.normalize(form, 'Kühe/groß é.png'))
    (root / 'novel.txt').write_text('ant\r\nKühe\r\n', 'utf-16')
    (root / 'masked.txt').write_text(unicodedata.normalize('NFD', 'Kühe/groß é.jpg'))
    for novel in ('novel.txt', ['ant', unicodedata.normalize('NFD', 'Kühe')]):
        dataset = build(
            novel=novel, masks='masked.txt', pipeline=folder_pipeline(make_pipeline))
        assert dataset.metainfo['classes'] == ('Kühe', 'ant', 'big cow', 'zebra')
        assert dataset.class_ids == [1, 2]
        assert dataset.masked_images == ['Kühe/groß é.jpg']
        sample = dataset[2]['data_samples']
        assert Path(sample.query_path).is_file() and 'gt_sem_seg' in sample


def test_two_images_of_one_name(root: Path, build: Build) -> None:
    """Linux allows them; which of the two is meant nobody can say."""
    for form in ('NFC', 'NFD'):
        photo(root / 'images/bee' / unicodedata.normalize(form, 'ü.jpg'))
    with pytest.raises(ValueError, match="image 'bee/ü.jpg' in .* is there twice"):
        build()


def test_fixed_class_numbers(root: Path, build: Build) -> None:
    """Numbers can be given, so that a class more does not change those of the masks."""
    names = ['zebra', 'bee', 'unseen', 'ant', 'big cow']
    dataset = build(metainfo=dict(classes=names))
    assert dataset.metainfo['classes'] == tuple(names)
    assert dataset.metainfo['class_ids'] == [2]
    assert build(metainfo=dict(classes=names), split='trn').class_ids == [1, 4, 5]
    with pytest.raises(ValueError, match=r"novel names \['unseen'\]"):
        build(metainfo=dict(classes=names), novel='unseen')
    with pytest.raises(
            ValueError, match=r"has classes \['zebra'\], which metainfo.classes"):
        build(metainfo=dict(classes=['ant', 'bee', 'big cow']))


def test_episode_file_of_own_images(root: Path, build: Build) -> None:
    """Names are paths below the image folder: an export is replayed as it was."""
    dataset = build(novel=['bee', 'ant'], num_episodes=5)
    dataset.export_episodes(root / 'episodes.json')
    again = build(novel=['bee', 'ant'], episodes='episodes.json')
    assert [again.draw(j) for j in range(5)] == [dataset.draw(j) for j in range(5)]
    assert json.loads((root / 'episodes.json').read_text())['fold'] is None


# ------------------------------------------------------------- FSS-1000
@pytest.fixture
def fss1000(tmp_path: Path) -> Path:
    """Its layout, with as many classes that numbers pass 255, and soft masks."""
    names = [f'class{number:03d}' for number in range(300)]
    for number, name in enumerate(names):
        folder = tmp_path / 'FSS-1000' / name
        if number < 290:  # a file each is enough where nothing is read
            folder.mkdir(parents=True)
            for index in (1, 2):
                (folder / f'{index}.jpg').touch()
                (folder / f'{index}.png').touch()
            continue
        for index in (1, 2, 10):
            photo(folder / f'{index}.jpg', number)
            pixels = np.zeros((*SIZE, 3), np.uint8)
            pixels[:, 12:24], pixels[:, 24:] = 127, 254
            Image.fromarray(pixels).save(folder / f'{index}.png')
    lists = tmp_path / 'splits/fss1000'
    lists.mkdir(parents=True)
    for split, part in (('trn', names[:200]), ('val', names[200:290]),
                        ('test', names[290:])):
        (lists / f'{split}.txt').write_text('\n'.join(part))
    return tmp_path


@pytest.mark.parametrize('pixel', [False, True])
def test_fss1000(
        fss1000: Path, monkeypatch: pytest.MonkeyPatch, pixel: bool) -> None:
    """The config reads masks that lie beside the images, by the published lists."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(fss1000))
    cfg = Config.fromfile(REPO / 'configs/wsfs/vit-s_fss1000_1shot.py')
    cfg.merge_from_dict({
        'train_dataloader.dataset.masks': 'all' if pixel else 'none',
        'test_dataloader.dataset.support_masks': pixel})
    train, val, test = (
        DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        for split in ('train', 'val', 'test'))
    assert train.class_ids == [*range(1, 201)] and len(train) == 400
    assert val.class_ids == [*range(201, 291)]
    assert test.class_ids == [*range(291, 301)] and len(test) == 1000
    for number in range(4):
        sample = test[number]['data_samples']
        present = Path(sample.query_path).parent == (
            Path(sample.support_paths[0][0]).parent)
        assert sample.gt_presence.tolist() == [present]
        expected = np.zeros(SIZE, int)
        expected[:, 24:] = present
        assert np.array_equal(sample.gt_sem_seg.data[0], expected)
        assert ('support_masks' in sample) == pixel
        if 'support_masks' in sample:  # 400x400: two thirds are background
            assert sample.support_masks.float().mean().item() == pytest.approx(
                1 / 3, abs=0.01)


# ------------------------------------------------------------- tag files
def test_images_of_several_classes(root: Path, build: Build) -> None:
    """Every class of an image is an entry; a base image shows no novel class."""
    tags = tag_csv(
        root, 'zebra/0.jpg,zebra;ant', 'zebra/1.PNG,zebra', 'zebra/2.webp,zebra;bee',
        'ant/0.jpg,ant', 'bee/0.jpg,bee', 'bee/1.PNG,bee;ant')
    dataset = build(tags=tags)
    assert dataset.metainfo['classes'] == ('ant', 'bee', 'zebra')
    assert [entry['name'] for entry in dataset.data_list] == [
        'zebra/2.webp', 'bee/0.jpg', 'bee/1.PNG']
    training = build(tags=tags, split='trn')
    assert [(e['name'], e['class_id']) for e in training.data_list] == [
        ('zebra/0.jpg', 3), ('zebra/0.jpg', 1), ('zebra/1.PNG', 3), ('ant/0.jpg', 1)]
    assert training.labels_of['zebra/0.jpg'] == {1, 3}
    # It shows both classes, so that there is none for it to be without.
    assert training.draw(EpisodeKey(0, 1, False)).classes == (3, )
    (root / 'tags.json').write_text(json.dumps({
        'zebra/0.jpg': ['zebra', 'ant'], 'zebra/1.PNG': ['zebra'],
        'zebra/2.webp': ['zebra', 'bee'], 'ant/0.jpg': ['ant'], 'bee/0.jpg': ['bee'],
        'bee/1.PNG': ['bee', 'ant']}))
    assert build(tags='tags.json').data_list == dataset.data_list


def test_label_maps_beside_a_tag_file(
        root: Path, build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """Labels of the map are class numbers, and presence is what the map shows, that is
    the tags at least."""
    tags = tag_csv(
        root, 'zebra/0.jpg,zebra;ant', 'zebra/1.PNG,zebra', 'ant/0.jpg,ant',
        'ant/1.PNG,ant')
    shown = {'zebra/0.jpg': [1, 2], 'zebra/1.PNG': [2], 'ant/0.jpg': [1],
             'ant/1.PNG': [1, 2]}  # the last one more than its tag
    for name, numbers in shown.items():
        pixels = np.zeros(SIZE, np.uint8)
        pixels[:len(numbers)] = np.array(numbers)[:, None]
        path = root / 'masks' / Path(name).with_suffix('.png')
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    dataset = build(
        tags=tags, novel=['ant', 'zebra'], masks='all',
        pipeline=make_pipeline(True, True))
    for number in range(len(dataset)):
        sample = dataset[number]['data_samples']
        name = Path(sample.query_path).relative_to(root / 'images').as_posix()
        assert sample.gt_presence.tolist() == [
            number in shown[name] for number in sample.class_ids]
    mask(root / 'masks/zebra/0.png', 3)
    with pytest.raises(RuntimeError, match=r'unknown labels \[3\].*1\.\.2'):
        [dataset[number] for number in range(len(dataset))]
    mask(root / 'masks/zebra/0.png', 255)  # as an editor saves black and white
    with pytest.raises(RuntimeError, match=r"zebra/0\.png'.* does not show class 1"):
        [dataset[number] for number in range(len(dataset))]


def test_listed_image_is_missing(root: Path, build: Build) -> None:
    tags = tag_csv(
        root, 'ant/0.jpg,ant', 'ant/7.jpg,ant', 'bee/0.jpg,bee', 'bee/1.PNG,bee',
        'zebra/0.jpg,zebra', 'zebra/1.PNG,zebra')
    with pytest.raises(
            FileNotFoundError, match=r"1 of 4 images.*tags\.csv.*ant/7\.jpg'"):
        build(tags=tags, split='trn')
    with pytest.raises(FileNotFoundError, match=r"absent\.csv' does not exist"):
        build(tags='absent.csv')


# ------------------------------------------------------------- bad input
def test_novel_class_that_is_none(build: Build) -> None:
    with pytest.raises(ValueError, match=(
            r"novel names \['wasp'\].*images' are \['ant', 'bee', 'big cow', "
            r"'zebra'\]")):
        build(novel=['bee', 'wasp'])


def test_nothing_to_test_or_to_train_on(build: Build) -> None:
    with pytest.raises(ValueError, match='novel is empty: name the classes to test on'):
        build(novel=[])
    with pytest.raises(ValueError, match='novel names all classes.*leave some'):
        build(novel=['ant', 'bee', 'big cow', 'zebra'], split='trn')


def test_folders_without_images(root: Path, build: Build) -> None:
    (root / 'images/empty').mkdir()
    (root / 'images/empty/1.heic').touch()
    with pytest.raises(ValueError, match=r"images/empty' has no images \(.jpg,"):
        build()
    with pytest.raises(FileNotFoundError, match=r"nowhere' does not exist"):
        build(data_prefix=dict(img_path='nowhere'))
    with pytest.raises(ValueError, match=r"images/bee' has no class folders"):
        build(data_prefix=dict(img_path='images/bee'))


def test_more_shots_than_images(build: Build) -> None:
    assert build(shot=2).draw(0).supports
    with pytest.raises(ValueError, match=(
            r"class 2 \('bee'\) has 3 images in '.*images', but 3-shot episodes need "
            'at least 4')):
        build(shot=3)


def test_missing_masks(root: Path, build: Build) -> None:
    (root / 'masks/bee/1.png').unlink()
    with pytest.raises(FileNotFoundError, match=r"needs mask '.*masks/bee/1\.png'"):
        build(masks='all')
    assert len(build(masks='all', restrict_to_existing=True)) == 2
    assert len(build(masks='none')) == 3


def test_two_images_of_one_mask(root: Path, build: Build) -> None:
    photo(root / 'images/bee/0.bmp')
    assert len(build()) == 4
    with pytest.raises(ValueError, match=r"'bee/0.bmp' and 'bee/0.jpg' would be one"):
        build(masks='all')


def test_masks_taken_for_images(fss1000: Path, build: Build) -> None:
    """Masks beside the images need img_suffixes; a PNG image is not its own mask."""
    settings = dict(
        data_root=str(fss1000), novel='class299', masks='all',
        data_prefix=dict(img_path='FSS-1000', seg_map_path='FSS-1000'))
    with pytest.raises(ValueError, match="'.png' out of img_suffixes"):
        build(**settings)
    with pytest.raises(ValueError, match="'.png' out of img_suffixes"):
        build(**settings, img_suffixes=['.png'])
    assert len(build(**settings, img_suffixes=['.JPG'])) == 3


def test_unreadable_image(
        root: Path, build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """Cut off in a download: the error names the file."""
    for path in (root / 'images/bee').iterdir():
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RuntimeError, match=r"image '.*/images/bee/\d\.\w+'"):
        build(pipeline=make_pipeline())[0]


def test_unread_until_asked_for(
        root: Path, build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """A model that caches features gets the same episodes; errors name the file."""
    settings = dict(
        novel=['bee', 'ant'], masks='all', pipeline=folder_pipeline(make_pipeline))
    eager, lazy = build(**settings), build(**settings)
    assert lazy.read_lazily()
    for number in range(len(eager)):
        one, two = eager[number], lazy[number]
        assert two['inputs']['query'].read().equal(one['inputs']['query'])
        masks = [item['data_samples'].gt_sem_seg.data for item in (one, two)]
        assert masks[0].equal(masks[1])
    assert len(lazy.lazy_images()) == len(eager.data_list)
    path = Path(lazy[0]['data_samples'].query_path)
    path.write_bytes(path.read_bytes()[:-60])  # cut off: its head is in order
    with pytest.raises(RuntimeError, match=re.escape(f"image '{path}'")):
        lazy[0]['inputs']['query'].read()
    path.write_bytes(b'no image')
    with pytest.raises(RuntimeError, match=re.escape(f"episode 0, image '{path}'")):
        lazy[0]


# ------------------------------------------------------------- episode files
def test_episodes_of_a_file(root: Path, build: Build) -> None:
    """Photographs are named by their path below the image folder."""
    (root / 'episodes.json').write_text(json.dumps(dict(episodes=[dict(
        query='zebra//0.jpg', classes=['bee'], supports=[['bee/2.webp']])])))
    dataset = build(novel=['bee', 'zebra'], episodes='episodes.json')
    assert len(dataset) == 1
    episode = dataset.episode_source.draw(0)
    assert (episode.query, episode.supports, episode.classes) == (
        'zebra/0.jpg', (('bee/2.webp', ), ), (2, ))
