"""Intersection and union of label maps, in pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from mmwsfs.structures import VOID

VOID_CONVENTIONS = ('background', 'ignored')


def confusion_matrix(prediction: Tensor, truth: Tensor, num_labels: int,
                     void: str) -> Tensor:
    """Number of pixels of each true and each predicted label.

    Args:
        prediction: labels from 0 to ``num_labels`` - 1, integers or booleans of any
            shape.
        truth: the same, or ``VOID`` (255); of the prediction's shape.
        num_labels: L, the background (0) included.
        void: what void pixels of ``truth`` count as: 'background', or nothing,
            'ignored'.

    Returns:
        Tensor: (L, L) int64, the true labels in rows.

    Raises:
        ValueError: the shapes differ, a label is out of range, or ``void`` is unknown.
    """
    if void not in VOID_CONVENTIONS:
        raise ValueError(f"void is 'background' or 'ignored', not {void!r}")
    if prediction.shape != truth.shape:
        raise ValueError(
            f'the prediction is {tuple(prediction.shape)}, but the truth '
            f'{tuple(truth.shape)}')
    is_void = truth == VOID
    if void == 'ignored':
        truth, prediction = truth[~is_void], prediction[~is_void]
    else:
        truth = truth.masked_fill(is_void, 0)
    truth, prediction = truth.flatten().long(), prediction.flatten().long()
    for name, labels in (('prediction', prediction), ('truth', truth)):
        if labels.numel() and not 0 <= labels.min() <= labels.max() < num_labels:
            raise ValueError(
                f'the {name} holds labels from {int(labels.min())} to '
                f'{int(labels.max())}, but there are {num_labels}, from 0')
    index = truth * num_labels + prediction
    return index.bincount(minlength=num_labels**2).view(num_labels, num_labels)


def areas_of(confusion: Tensor) -> Tensor:
    """Intersection and union of every label of a confusion matrix, (L, L) -> (L, 2)."""
    intersection = confusion.diag()
    union = confusion.sum(0) + confusion.sum(1) - intersection
    return torch.stack([intersection, union], dim=1)


def label_areas(prediction: Tensor, truth: Tensor, num_labels: int,
                void: str) -> Tensor:
    """Intersection and union of every label in pixels, (L, 2) int64.

    Arguments and errors are those of :func:`confusion_matrix`.
    """
    return areas_of(confusion_matrix(prediction, truth, num_labels, void))


def foreground_areas(confusion: Tensor) -> Tensor:
    """Intersection and union of foreground, which is any label but 0, and background.

    Args:
        confusion: (L, L) of :func:`confusion_matrix`.

    Returns:
        Tensor: (2, 2), foreground first.
    """
    background = confusion[0, 0]
    foreground = confusion[1:, 1:].sum()
    total = confusion.sum()
    return torch.stack([
        torch.stack([foreground, total - background]),
        torch.stack([background, total - foreground])])
