"""FewShotMetric against section 10 of the method, pixel by pixel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmwsfs.evaluation import FewShotMetric
from mmwsfs.evaluation.bootstrap import resample_counts
from mmwsfs.structures import FewShotDataSample

NAMES = tuple(f'class{number}' for number in range(1, 21))
FOLD = (6, 7, 8, 9, 10)
META = dict(classes=NAMES, class_ids=FOLD, fold=1, way=2, shot=1)


def sample(class_ids, truth, prediction, presence, scores, number=0):
    """One evaluated episode as the model hands it over."""
    result = FewShotDataSample(metainfo=dict(
        episode=number, query_path='photo.jpg', class_ids=list(class_ids),
        support_paths=[[f'{n}.jpg'] for n in class_ids]))
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


def naive_area(predictions):
    """By all pairs of a present and an absent one; nothing where there is none."""
    wins = [
        (high > low) + (high == low) / 2 for high, present in predictions if present
        for low, there in predictions if not there]
    return {'presence_AUC': 100 * sum(wins) / len(wins)} if wins else {}


def naive_calibration_error(predictions):
    """Bin by bin: 15 of them, each with its upper end, the first with 0 as well."""
    error = 0
    for number in range(15):
        held = [(score, present) for score, present in predictions
                if number / 15 < score <= (number + 1) / 15
                or number == 0 and score == 0]
        if held:
            mean = sum(score for score, _ in held) / len(held)
            share = sum(present for _, present in held) / len(held)
            error += len(held) / len(predictions) * abs(mean - share)
    return 100 * error


def naive_aurc(predictions):
    """Of scores that differ: the mean error of the k most confident, over all k."""
    ordered = sorted(predictions, key=lambda pair: -abs(pair[0] - 0.5))
    wrong = [(score > 0.5) != present for score, present in ordered]
    risks = [sum(wrong[:k]) / k for k in range(1, len(wrong) + 1)]
    return 100 * sum(risks) / len(risks)


def naive_metrics(episodes, void):
    """Everything in per cent, by loops over pixels and ways."""
    exact, intersections, unions = 0, {}, {}
    right_ways = [0] * len(episodes[0].class_ids)
    both_fg = either_fg = both_bg = either_bg = 0
    for episode in episodes:
        right = [
            (score > 0.5) == present for score, present in zip(
                episode.presence_scores.tolist(), episode.gt_presence.tolist())]
        exact += all(right)
        right_ways = [total + new for total, new in zip(right_ways, right)]
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
                both_fg += true > 0 and found > 0
                either_fg += true > 0 or found > 0
                both_bg += true == 0 and found == 0
                either_bg += true == 0 or found == 0
    ious = {
        number: 100 * intersections[number] / unions[number]
        for number in sorted(unions) if unions[number]}
    fb = [100 * both / either for both, either in (
        (both_fg, either_fg), (both_bg, either_bg)) if either]
    ways = [100 * count / len(episodes) for count in right_ways]
    predictions = [
        pair for episode in episodes for pair in zip(
            episode.presence_scores.tolist(), episode.gt_presence.tolist())]
    return {
        'exact_ratio': 100 * exact / len(episodes),
        **naive_area(predictions),
        'ECE': naive_calibration_error(predictions),
        'AURC': naive_aurc(predictions),
        'mIoU': sum(ious.values()) / len(ious) if ious else 0,
        'FB-IoU': sum(fb) / len(fb),
        'way_accuracy': sum(ways) / len(ways),
        **{f'way_accuracy.{way}': share for way, share in enumerate(ways, start=1)},
        **{f'IoU.class{number}': iou for number, iou in ious.items()},
        'episodes': len(episodes)}


def evaluate(episodes, batch=3, **kwargs):
    """Through MMEngine's evaluator, which hands the metric plain dicts."""
    evaluator = Evaluator(FewShotMetric(**kwargs))
    evaluator.dataset_meta = META
    for start in range(0, len(episodes), batch):
        evaluator.process(episodes[start:start + batch], {})
    return evaluator.evaluate(len(episodes))


def without_intervals(metrics):
    return {name: value for name, value in metrics.items()
            if not name.endswith(('_low', '_high'))}


@pytest.mark.parametrize('void', ['background', 'ignored'])
@pytest.mark.parametrize('way', [1, 2, 3])
def test_equals_the_pixel_loop(way, void):
    """Every number and no other, for both conventions."""
    episodes = random_episodes(8, way)
    found = without_intervals(evaluate(episodes, void=void))
    assert found == pytest.approx(naive_metrics(episodes, void))
    assert all(type(value) is float for value in found.values())
    # The other convention is another number on these episodes.
    other = naive_metrics(episodes, 'background' if void == 'ignored' else 'ignored')
    for name in ('mIoU', 'FB-IoU'):
        assert found[name] != pytest.approx(other[name])


@pytest.mark.parametrize('void', ['background', 'ignored'])
@pytest.mark.parametrize('way', [1, 2])
def test_intervals_equal_the_loop_over_resamples(way, void):
    """Each resample is scored as a test of its own, its episodes repeated."""
    episodes = random_episodes(6, way)
    found = evaluate(episodes, void=void)
    values = {name: [] for name in (
        'exact_ratio', 'presence_AUC', 'ECE', 'mIoU', 'FB-IoU')}
    scored = {}
    for counts in resample_counts(len(episodes)).tolist():
        repeated = [
            episode for episode, count in zip(episodes, counts) for _ in range(count)]
        if tuple(counts) not in scored:
            scored[tuple(counts)] = naive_metrics(repeated, void)
        for name, numbers in values.items():
            if name in scored[tuple(counts)]:  # a resample may hold one truth alone
                numbers.append(scored[tuple(counts)][name])
    for name, numbers in values.items():
        numbers.sort()
        for end, share in (('low', 0.025), ('high', 0.975)):
            place = share * (len(numbers) - 1)  # of 1000: 24.975 and 974.025
            below = int(place)
            expected = numbers[below] + (place - below) * (
                numbers[below + 1] - numbers[below])
            assert found[f'{name}_{end}'] == pytest.approx(expected)
    assert found['mIoU_low'] < found['mIoU'] < found['mIoU_high']


def test_intervals_shrink_with_the_number_of_episodes():
    """As they should, by about the square root: they are no constant."""
    few, many = random_episodes(20, 1), random_episodes(320, 1)
    widths = [
        metrics['exact_ratio_high'] - metrics['exact_ratio_low']
        for metrics in (evaluate(few), evaluate(many))]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.25)


def test_a_thousand_episodes_take_no_time(monkeypatch):
    """All 1000 resamples of 1000 episodes of 20 classes at once, not in a loop."""
    rng = np.random.default_rng(0)
    results = [
        dict(episode=j, class_ids=[j % 20 + 1], presence=[True], scores=[rng.random()],
             areas=[[j, 2 * j + 1]], fb_areas=[[j, 2 * j + 1], [5, 9]])
        for j in range(1000)]
    metric = FewShotMetric()
    metric.dataset_meta = dict(META, class_ids=range(1, 21))
    calls = []
    ious = metric._ious
    monkeypatch.setattr(FewShotMetric, '_ious', staticmethod(
        lambda counts, areas: calls.append((counts.shape, areas.shape))
        or ious(counts, areas)))
    assert len(metric.compute_metrics(results)) == 14 + 2 + 20  # one truth: no area
    assert calls == [
        ((1001, 1000), (1000, 20, 2)), ((1001, 1000), (1000, 2, 2))]


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
    """No class at all: 0, not a division by zero; FB-IoU is the background's."""
    found = evaluate([sample([6], [[0]], [[0]], [False], [0.1])])
    assert found['mIoU'] == 0 and found['exact_ratio'] == 100
    assert found['FB-IoU'] == 100


def test_nothing_but_void():
    """Without any pixel to score there is no division by zero either."""
    found = evaluate([sample([6], [[255]], [[1]], [True], [0.9])], void='ignored')
    assert found['mIoU'] == found['FB-IoU'] == 0


def test_foreground_is_any_way():
    """A pixel of way 1 called way 2 is right for FB-IoU, wrong for mIoU."""
    found = evaluate([sample(
        [6, 7], [[1, 1, 0, 0]], [[2, 1, 1, 0]], [True, False], [0.9] * 2)])
    assert found['FB-IoU'] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    assert found['IoU.class6'] == pytest.approx(100 / 3) and found['IoU.class7'] == 0


def test_exact_ratio_needs_every_way():
    """One wrong way of an episode spoils it; 0.5 is absent."""
    maps = [[0, 0]], [[0, 0]]
    found = evaluate([
        sample([6, 7], *maps, [True, False], [0.9, 0.1]),
        sample([6, 7], *maps, [True, False], [0.9, 0.6]),
        sample([6, 7], *maps, [False, False], [0.5, 0.4]),
        sample([6, 7], *maps, [True, True], [0.2, 0.9])])
    assert found['exact_ratio'] == pytest.approx(50)
    assert found['way_accuracy'] == pytest.approx(100 * 6 / 8)
    assert found['way_accuracy.1'] == pytest.approx(75)
    assert found['way_accuracy.2'] == pytest.approx(75)


def test_one_truth_has_no_area():
    """As in FS-S: where all are present there is nothing to tell apart."""
    found = evaluate([
        sample([6], [[1]], [[1]], [True], [score]) for score in (0.9, 0.2)])
    assert not [name for name in found if 'AUC' in name]
    assert found['ECE'] == pytest.approx(100 * (0.1 + 0.8) / 2)


@pytest.mark.parametrize('score', [float('nan'), 1.01, -0.01])
def test_scores_are_probabilities(score):
    """Nothing else can be binned, and what gave it is at fault."""
    episode = sample([6], [[1]], [[1]], [True], [score], number=17)
    with pytest.raises(ValueError, match=r'episode 17: presence_scores are .*0\.\.1'):
        evaluate([episode])


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
    metric = evaluator.metrics[0]
    assert metric.summary['mIoU'] == 100 and len(metric.episodes) == 1


@pytest.mark.parametrize('protocol', [None, 'FS-S'])
@pytest.mark.parametrize('void', ['background', 'ignored'])
def test_log_says_what_was_measured(protocol, void, monkeypatch):
    """The table names protocol, void convention, and the classes it leaves out."""
    logged = []
    metric = FewShotMetric(void=void)
    monkeypatch.setattr(
        'mmwsfs.evaluation.metrics.few_shot_metric.MMLogger.get_current_instance',
        lambda: SimpleNamespace(info=logged.append))
    metric.dataset_meta = dict(META, protocol=protocol) if protocol else META
    metric.process({}, [sample([6], [[1]], [[1]], [True], [0.9]).to_dict()])
    found = metric.evaluate(1)
    head, *lines = logged[0].splitlines()
    assert head == (
        f"{protocol or 'FS-CS'}, fold 1, 2-way 1-shot, 1 episodes, void as {void}")
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    assert ['mIoU', f"{found['mIoU']:.2f}", '100.00 .. 100.00'] in cells
    assert ['class6', '100.00'] in cells
    assert metric.classes_without_iou() == [f'class{n}' for n in FOLD[1:]]
    for name in metric.classes_without_iou():
        assert [name, 'none, left out'] in cells


@pytest.mark.parametrize('missing', [1, 6])
def test_without_masks(missing, monkeypatch):
    """Presence is scored as ever, IoUs are left out, and the table says why."""
    logged = []
    episodes = random_episodes(6, way=2)
    with_masks = evaluate(episodes)
    for episode in episodes[:missing]:
        del episode.gt_sem_seg
    metric = FewShotMetric()
    metric.dataset_meta = META
    monkeypatch.setattr(
        'mmwsfs.evaluation.metrics.few_shot_metric.MMLogger.get_current_instance',
        lambda: SimpleNamespace(info=logged.append))
    metric.process({}, [episode.to_dict() for episode in episodes])
    assert metric.evaluate(6) == {
        name: value for name, value in with_masks.items() if 'IoU' not in name}
    table = [line.split() for line in logged[0].splitlines()]
    for name in ('mIoU', 'FB-IoU'):
        assert ['|', name, '|', 'no', 'masks', '|', '|'] in table
    assert f'no mask was there for the query of {missing} episodes' in logged[0]
