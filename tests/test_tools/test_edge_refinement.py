"""edge_refinement.py on made images, and its parts against slow ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TOOL = 'tools/analysis_tools/edge_refinement.py'


@pytest.fixture
def tool() -> ModuleType:
    """The tool as a module."""
    path = Path(__file__).parents[2] / TOOL
    spec = importlib.util.spec_from_file_location('edge_refinement', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_band_is_what_lies_near_an_edge(tool: ModuleType) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[0:35, 20:70] = 1
    mask[10:13, 30:33] = 0
    slow = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        for dy in range(-2, 3):  # 2 % of the diagonal, 100
            for dx in range(-2, 3):
                inside = 0 <= y + dy < 60 and 0 <= x + dx < 80
                if not inside or not mask[y + dy, x + dx]:
                    slow[y, x] = 1
    assert np.array_equal(tool.band(mask), slow)


def test_iou_leaves_void_out(tool: ModuleType) -> None:
    found, truth = np.uint8([[1, 1, 1, 0]]), np.uint8([[1, 0, 0, 1]])
    void = np.array([[False, False, True, False]])
    assert tool.iou(found, truth, void) == pytest.approx(100 / 3)


@pytest.mark.parametrize('way', [
    'guided filter', 'guided filter, grey', 'pixel-adaptive', 'GrabCut'])
def test_a_soft_edge_moves_to_that_of_the_colours(tool: ModuleType, way: str) -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((96, 128), bool)
    truth[30:70, 40:90] = True
    image = np.where(truth[..., None], (220, 200, 90), (60, 90, 60))
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    # Shifted by 3 pixels, and blurred.
    probs = np.roll(truth, 3, axis=1).astype(np.float32)
    probs = np.mean([np.roll(probs, (y, x), axis=(0, 1)) for y in range(-6, 7)
                     for x in range(-6, 7)], axis=0).astype(np.float32)
    wrong = ((probs >= 0.5) != truth).sum()
    for refine in tool.CANDIDATES[way].values():
        refined = refine(image, probs)
        assert refined.shape == probs.shape
        assert refined.min() >= 0 and refined.max() <= 1 + 1e-6
    fewest = min(((refine(image, probs) >= 0.5) != truth).sum()
                 for refine in tool.CANDIDATES[way].values())
    assert fewest < wrong


def test_takes_photographs_at_equal_distances(tool: ModuleType) -> None:
    assert tool.chosen_numbers(7, 3) == [0, 3, 6]
    assert tool.chosen_numbers(3, 5) == tool.chosen_numbers(3, None) == [0, 1, 2]
