"""Intersections and unions against loops over pixels."""

from __future__ import annotations

import pytest
import torch

from mmwsfs.utils.areas import (
    areas_of,
    confusion_matrix,
    foreground_areas,
    label_areas,
)


def random_maps(*size: int, labels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A prediction, and a truth of which a fifth is void."""
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(0, labels, (2, *size), generator=generator)
    truth[torch.rand(size, generator=generator) < 0.2] = 255
    return prediction, truth


def count(prediction: torch.Tensor, truth: torch.Tensor, void: str,
          shows) -> list[int]:
    """Intersection and union of the pixels of which ``shows(label)`` holds."""
    intersection = union = 0
    for label, true in zip(prediction.flatten().tolist(), truth.flatten().tolist()):
        if true == 255:
            if void == 'ignored':
                continue
            true = 0
        intersection += shows(label) and shows(true)
        union += shows(label) or shows(true)
    return [intersection, union]


@pytest.mark.parametrize('void', ['background', 'ignored'])
@pytest.mark.parametrize('size', [(50, ), (6, 7), (2, 3, 5, 4)])
def test_equals_the_pixel_loop(void: str, size: tuple[int, ...]) -> None:
    """For every label, and for foreground and background."""
    prediction, truth = random_maps(*size)
    areas = label_areas(prediction, truth, 3, void)
    assert areas.dtype == torch.int64 and areas.tolist() == [
        count(prediction, truth, void, lambda label, n=n: label == n) for n in range(3)]
    confusion = confusion_matrix(prediction, truth, 3, void)
    assert torch.equal(areas_of(confusion), areas)
    assert foreground_areas(confusion).tolist() == [
        count(prediction, truth, void, lambda label: label > 0),
        count(prediction, truth, void, lambda label: label == 0)]
    scored = truth.numel() if void == 'background' else int((truth != 255).sum())
    assert confusion.sum() == scored


def test_confusion_has_the_truth_in_rows() -> None:
    """By hand."""
    confusion = confusion_matrix(
        torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), 2, 'ignored')
    assert confusion.tolist() == [[1, 1], [0, 0]]


def test_dtypes() -> None:
    """A mask of booleans, and uint8 as files have it; the arguments stay."""
    truth = torch.tensor([[1, 255, 0]], dtype=torch.uint8)
    mask = torch.tensor([[True, True, True]])
    assert label_areas(mask, truth, 2, 'background').tolist() == [[0, 2], [1, 3]]
    assert label_areas(mask, truth, 2, 'ignored').tolist() == [[0, 1], [1, 2]]
    assert truth.tolist() == [[1, 255, 0]]


def test_nothing_to_count() -> None:
    """All void, or no pixel at all: zeros."""
    void = torch.full((2, 2), 255)
    for truth in (void, void[:0]):
        areas = label_areas(torch.zeros_like(truth), truth, 4, 'ignored')
        assert areas.tolist() == [[0, 0]] * 4


@pytest.mark.parametrize('prediction, truth, void, message', [
    ([0, 1], [0], 'ignored', r'the prediction is \(2,\), but the truth \(1,\)'),
    ([0, 2], [0, 1], 'ignored', 'the prediction holds labels from 0 to 2'),
    ([0, 1], [0, -1], 'ignored', 'the truth holds labels from -1 to 0'),
    ([0, 255], [0, 255], 'background', 'the prediction holds labels from 0 to 255'),
    ([0], [0], 'skip', "not 'skip'")])
def test_bad_maps(
        prediction: list, truth: list, void: str, message: str) -> None:
    """They would be counted as other labels."""
    with pytest.raises(ValueError, match=message):
        label_areas(torch.tensor(prediction), torch.tensor(truth), 2, void)
