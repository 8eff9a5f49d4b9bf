"""FewShotMetric against section 10 of the method, pixel by pixel."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmwsfs.evaluation import FewShotMetric
from mmwsfs.structures import FewShotDataSample

NAMES = tuple(f'class{number}' for number in range(1, 21))
FOLD = (6, 7, 8, 9, 10)
META = dict(classes=NAMES, class_ids=FOLD, fold=1, way=2, shot=1)


def sample(class_ids, truth, prediction, presence, scores, number=0):
    """One evaluated episode as the model hands it over."""
    result = FewShotDataSample(metainfo=dict(
        episode=number, query_path='photo.jpg', class_ids=list(class_ids)))
    result.gt_sem_seg = PixelData(data=torch.as_tensor(truth).byte()[None])
    result.pred_sem_seg = PixelData(data=torch.as_tensor(prediction).byte()[None])
    result.gt_presence = torch.tensor(presence)
    result.presence_scores = torch.tensor(scores)
    return result


def random_episodes(count, way):
    """Random maps with void; classes drawn from all of the fold but its last."""
    generator = torch.Generator().manual_seed(4)
    episodes = []
    for number in range(count):
        order = torch.randperm(len(FOLD) - 1, generator=generator)[:way]
        size = (5 + number % 3, 7)
        truth = torch.randint(0, way + 1, size, generator=generator)
        truth[torch.rand(size, generator=generator) < 0.2] = 255
        prediction = torch.randint(0, way + 1, size, generator=generator)
        episodes.append(sample(
            [FOLD[i] for i in order], truth, prediction,
            (torch.rand(way, generator=generator) > 0.5).tolist(),
            torch.rand(way, generator=generator).tolist(), number))
    return episodes


def naive_metrics(episodes, void):
    """Exact ratio and mIoU in per cent, and IoU by class number."""
    exact, intersections, unions = 0, {}, {}
    for episode in episodes:
        right = [
            (score > 0.5) == present for score, present in zip(
                episode.presence_scores.tolist(), episode.gt_presence.tolist())]
        exact += all(right)
        truth = episode.gt_sem_seg.data[0].tolist()
        prediction = episode.pred_sem_seg.data[0].tolist()
        for row_true, row_found in zip(truth, prediction):
            for true, found in zip(row_true, row_found):
                if true == 255:
                    if void == 'ignored':
                        continue
                    true = 0
                for way, number in enumerate(episode.class_ids, start=1):
                    both = true == way and found == way
                    either = true == way or found == way
                    intersections[number] = intersections.get(number, 0) + both
                    unions[number] = unions.get(number, 0) + either
    ious = {
        number: 100 * intersections[number] / unions[number]
        for number in unions if unions[number]}
    return 100 * exact / len(episodes), sum(ious.values()) / len(ious), ious


def evaluate(episodes, batch=3, **kwargs):
    """Through MMEngine's evaluator, which hands the metric plain dicts."""
    evaluator = Evaluator(FewShotMetric(**kwargs))
    evaluator.dataset_meta = META
    for start in range(0, len(episodes), batch):
        evaluator.process(episodes[start:start + batch], {})
    return evaluator.evaluate(len(episodes))


@pytest.mark.parametrize('void', ['background', 'ignored'])
@pytest.mark.parametrize('way', [1, 2, 3])
def test_equals_the_pixel_loop(way, void):
    """Exact ratio, mIoU and every class's IoU, for both conventions."""
    episodes = random_episodes(8, way)
    exact, mean, ious = naive_metrics(episodes, void)
    found = evaluate(episodes, void=void)
    assert found['exact_ratio'] == pytest.approx(exact)
    assert found['mIoU'] == pytest.approx(mean)
    assert found['episodes'] == 8
    assert {key: value for key, value in found.items() if key.startswith('IoU.')} == {
        f'IoU.class{number}': pytest.approx(iou) for number, iou in ious.items()}
    # The other convention is another number on these episodes.
    assert naive_metrics(episodes, 'background')[1] != pytest.approx(
        naive_metrics(episodes, 'ignored')[1])


def test_void_as_background_is_the_default():
    """By hand: 2 pixels of the class, one found, and 1 void pixel called the class."""
    episode = sample([6], [[1, 1, 255, 0]], [[1, 0, 1, 0]], [True], [0.9])
    assert evaluate([episode])['mIoU'] == pytest.approx(100 / 3)
    assert evaluate([episode], void='background')['mIoU'] == pytest.approx(100 / 3)
    assert evaluate([episode], void='ignored')['mIoU'] == pytest.approx(50)


def test_areas_are_summed_per_absolute_class():
    """Not a mean over episodes, and class 7 is class 7 as first or second way."""
    episodes = [
        sample([6, 7], [[1, 2, 2, 2]], [[1, 2, 2, 0]], [True] * 2, [0.9] * 2),
        sample([7, 8], [[1, 0, 0, 0]], [[1, 1, 1, 2]], [True] * 2, [0.9] * 2),
    ]
    found = evaluate(episodes)
    assert found['IoU.class6'] == pytest.approx(100)
    assert found['IoU.class7'] == pytest.approx(100 * (2 + 1) / (3 + 3))
    assert found['IoU.class8'] == 0
    assert found['mIoU'] == pytest.approx((100 + 50 + 0) / 3)


def test_a_class_never_seen_has_no_iou():
    """It is left out of the mean; one that is only predicted counts as 0."""
    found = evaluate([
        sample([6], [[1, 1]], [[1, 1]], [True], [0.9]),
        sample([7], [[0, 0]], [[0, 0]], [False], [0.1]),
        sample([8], [[0, 0]], [[0, 1]], [False], [0.1])])
    assert 'IoU.class7' not in found and 'IoU.class10' not in found
    assert found['IoU.class8'] == 0
    assert found['mIoU'] == pytest.approx(50)


def test_nothing_but_background():
    """No class at all: 0, not a division by zero."""
    found = evaluate([sample([6], [[0]], [[0]], [False], [0.1])])
    assert found['mIoU'] == 0 and found['exact_ratio'] == 100


def test_exact_ratio_needs_every_way():
    """One wrong way of an episode spoils it; 0.5 is absent."""
    maps = [[0, 0]], [[0, 0]]
    found = evaluate([
        sample([6, 7], *maps, [True, False], [0.9, 0.1]),
        sample([6, 7], *maps, [True, False], [0.9, 0.6]),
        sample([6, 7], *maps, [False, False], [0.5, 0.4]),
        sample([6, 7], *maps, [True, True], [0.2, 0.9])])
    assert found['exact_ratio'] == pytest.approx(50)


def test_prefix_is_put_before_the_names():
    """Two metrics can stand side by side."""
    found = evaluate(
        [sample([6], [[1]], [[1]], [True], [0.9])], prefix='fsc')
    assert found['fsc/mIoU'] == 100


def test_shapes_must_agree():
    """A prediction at the network's size is no prediction at the original one."""
    episode = sample([6], [[1, 1]], [[1], [1]], [True], [0.9], number=17)
    with pytest.raises(ValueError, match=r'episode 17.*\(2, 1\).*photo\.jpg.*\(1, 2\)'):
        evaluate([episode])


def test_no_episodes():
    """An empty run is an error, not a score."""
    metric = FewShotMetric()
    metric.dataset_meta = META
    with pytest.raises(ValueError, match='no episode'):
        metric.compute_metrics([])


def test_unknown_void():
    """Two conventions, no third."""
    with pytest.raises(ValueError, match="not 'skip'"):
        FewShotMetric(void='skip')


def test_evaluations_do_not_add_up():
    """A second evaluation starts from nothing."""
    evaluator = Evaluator(FewShotMetric())
    evaluator.dataset_meta = META
    good = sample([6], [[1]], [[1]], [True], [0.9])
    bad = sample([6], [[1]], [[0]], [True], [0.1])
    for episode, iou in ((bad, 0), (good, 100)):
        evaluator.process([episode], {})
        assert evaluator.evaluate(1)['mIoU'] == iou
