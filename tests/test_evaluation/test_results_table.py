"""The table of the folds' means beside published results."""

from __future__ import annotations

import pytest

from mmwsfs.evaluation.results_table import MEANS, apart, markdown, results_table


def report(fold: int, exact_ratio: float = 70., miou: float = 30., episodes: int = 1000,
           dataset: str = 'Pascal5iDataset', episode_choice: str = '',
           **settings) -> dict:
    """What a test writes, as far as the table reads it."""
    metrics = {
        'exact_ratio': exact_ratio, 'mIoU': miou, 'FB-IoU': 60., 'way_accuracy': 75.,
        'presence_AUC': exact_ratio + 5, 'ECE': 8.}
    return {**dict(
        metrics=metrics, protocol='FS-CS', void='background', supervision='image',
        selection='base', dataset=dict(
            type=dataset, fold=fold, episodes=episodes, episode_choice=episode_choice,
            settings=dict(lists='splits/pascal5i'))), **settings}


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table."""
    return [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in text.splitlines() if line.startswith('|')]


def test_means_over_four_folds() -> None:
    """By hand; a whole mean carries no label."""
    reports = [report(fold, 60 + 10 * fold, 20 + fold) for fold in range(4)]
    table = results_table('mine.py', {(1, 1): dict(enumerate(reports))})
    cell = table['columns']['1w1s']
    assert cell['mean'] == {
        'exact_ratio': 75, 'mIoU': 21.5, 'FB-IoU': 60, 'way_accuracy': 75,
        'presence_AUC': 80, 'ECE': 8}
    assert tuple(cell['mean']) == MEANS
    assert cell['folds'] == {str(fold): reports[fold] for fold in range(4)}
    text = markdown(table)
    assert rows(text)[-1] == [
        '**mine.py**', 'image', 'background', 'base', '75.0 / 21.5', '80.0 / 8.0']
    assert text.startswith('Pascal-5i, FS-CS: ')
    assert 'of 1000 episodes' not in text  # nothing to warn of


@pytest.mark.parametrize('folds, label', [
    ([2], '**mine.py (fold 2 only)**'),
    ([3, 0, 1], '**mine.py (folds 0, 1, 3 only)**')])
def test_fewer_folds_are_labelled(folds: list[int], label: str) -> None:
    """A mean over some of the folds does not pass for the benchmark's."""
    table = results_table('mine.py', {(1, 1): {fold: report(fold) for fold in folds}})
    assert rows(markdown(table))[-1][0] == label


def test_published_rows() -> None:
    """Those of the dataset, in the columns that they have; others are blank."""
    reports = {
        (way, shot): {0: report(0, dataset='Coco20iDataset')}
        for way, shot in ((2, 1), (2, 5))}
    table = results_table('mine.py', reports)
    found = rows(markdown(table))
    assert found[0] == [
        'method', 'labels', 'void as', 'checkpoint by', '2w1s', '2w5s',
        '2w1s AUC / ECE', '2w5s AUC / ECE']
    novel = 'novel (test classes)'
    assert found[2:] == [
        ['CST, DINO ViT-S/8 (Kang et al., CVPR 2023)', 'image', 'background', novel,
         '62.4 / 18.3', '', '', ''],
        ['CST, DINO ViT-S/8 (Kang et al., CVPR 2023)', 'pixel', 'background', novel,
         '64.0 / 36.2', '', '', ''],
        ['ASNet, ResNet-50 (Kang and Cho, CVPR 2022)', 'pixel', 'background', novel,
         '63.1 / 31.6', '', '', ''],
        ['CST, DINOv2 ViT-S/14 (Carrion-Ojeda et al., GCPR 2025)', 'pixel',
         'background', novel, '78.7 / 51.5', '', '', ''],
        ['EMAT, DINOv2 ViT-S/14 (Carrion-Ojeda et al., GCPR 2025)', 'pixel',
         'background', novel, '80.1 / 52.8', '', '', ''],
        ['**mine.py (fold 0 only)**', 'image', 'background', 'base', '70.0 / 30.0',
         '70.0 / 30.0', '75.0 / 8.0', '75.0 / 8.0']]
    assert not results_table('mine.py', {(2, 5): reports[2, 5]})['published']


def test_one_truth_has_no_area() -> None:
    """As in FS-S; and a mean is of all folds, or none."""
    reports = [report(0), report(1)]
    del reports[1]['metrics']['presence_AUC']
    table = results_table('mine.py', {(1, 1): dict(enumerate(reports))})
    assert 'presence_AUC' not in table['columns']['1w1s']['mean']
    assert rows(markdown(table))[-1][-1] == '- / 8.0'


@pytest.mark.parametrize('settings', [
    dict(void='ignored'), dict(protocol='FS-S'), dict(dataset='DemoShapesDataset')])
def test_other_numbers_stand_alone(settings: dict) -> None:
    """Published numbers never stand beside another convention, protocol or dataset."""
    table = results_table('mine.py', {(1, 1): {0: report(0, **settings)}})
    assert table['published'] == []
    text = markdown(table)
    assert len(rows(text)) == 3
    assert ('left out' in text) == ('dataset' not in settings)
    for value in settings.values():
        assert value in text


@pytest.mark.parametrize('settings', [
    dict(void='ignored'), dict(protocol='FS-S'), dict(supervision='pixel'),
    dict(dataset='Coco20iDataset'), dict(episode_choice='fully augmented')])
@pytest.mark.parametrize('place', ['fold', 'column'])
def test_mixtures_are_refused(settings: dict, place: str) -> None:
    """Neither a mean nor a row of different conventions."""
    if place == 'fold':
        reports = {(1, 1): {0: report(0), 1: report(1, **settings)}}
    else:
        reports = {(1, 1): {0: report(0)}, (2, 1): {0: report(0, **settings)}}
    with pytest.raises(ValueError, match=f'different {next(iter(settings))}'):
        results_table('mine.py', reports)


def test_columns_of_different_folds_are_refused() -> None:
    """One label of the folds holds for the whole row."""
    with pytest.raises(ValueError, match=r'different folds, \[\(0,\), \(0, 1\)\]'):
        results_table('mine.py', {
            (1, 1): {0: report(0), 1: report(1)}, (1, 5): {0: report(0)}})


def test_fewer_episodes_are_told() -> None:
    """A quick test does not pass for the protocol's."""
    text = markdown(results_table(
        'mine.py', {(1, 1): {0: report(0, episodes=50)}}))
    assert 'In bold: 50 episodes a fold' in text
    assert 'The published results are of 1000 episodes a fold.' in text


def test_what_differs_from_the_published_is_told() -> None:
    """Folds, lists and what is missing of them; nothing where no published row is."""
    few = report(0)
    few['dataset']['settings'].update(lists='splits/mine', restrict_to_existing=True)
    table = results_table('mine.py', {(1, 1): {0: few}})
    assert apart(table) == [
        'The published results are means over 4 folds.',
        'The published results are of the lists `splits/pascal5i`, not `splits/mine`.',
        'The published results are of whole lists; here images are missing '
        '(`restrict_to_existing`).']
    assert all(line in markdown(table) for line in apart(table))
    assert not apart(dict(table, published=[]))


def test_other_episodes_stand_alone() -> None:
    """A subset or augmented episodes never stand beside the published ones."""
    table = results_table('mine.py', {(1, 1): {
        0: report(0, episode_choice='objects of 0 to 5 % of the image')}})
    assert table['published'] == []
    text = markdown(table)
    assert text.startswith('Pascal-5i, FS-CS, objects of 0 to 5 % of the image: exact')
    assert 'Published results are of other episodes, and left out.' in text


@pytest.mark.parametrize(('selections', 'words'), [
    (('base', 'base'), 'base'), (('none, last checkpoint', ), 'none, last checkpoint'),
    (('novel (test classes)', 'base'), 'base or novel (test classes)')])
def test_selection_is_told(selections: tuple[str, ...], words: str) -> None:
    """Of each row, in words."""
    table = results_table('mine.py', {(1, 1): {
        fold: report(fold, selection=words) for fold, words in enumerate(selections)}})
    assert table['selection'] == words
    found = rows(markdown(table))
    place = found[0].index('checkpoint by')
    assert found[-1][place] == words
    assert {row[place] for row in found[2:-1]} == {'novel (test classes)'}


def test_reports_of_older_releases() -> None:
    """They say nothing of it."""
    old = report(0)
    del old['selection'], old['dataset']['episode_choice']
    table = results_table('mine.py', {(1, 1): {0: old}})
    assert table['selection'] == 'unknown' and table['published']
