from __future__ import annotations

from mmseg.structures import SegDataSample
from torch import Tensor

VOID = 255  # the label of pixels that are neither background nor any class


class FewShotDataSample(SegDataSample):
    """Labels and predictions of one N-way K-shot episode.

    Metainfo: ``episode`` (int, its number), ``query_path`` (str), ``support_paths``
    (N x K nested lists of str), ``class_ids`` (N absolute class numbers, from 1),
    ``ori_shape`` and ``img_shape`` of the query, (height, width) in pixels.

    Beside the fields of mmseg's ``SegDataSample``, of which ``gt_sem_seg`` and
    ``pred_sem_seg`` are label maps of the query, (1, H, W) with 0 = background,
    1..N = way and 255 = void, it holds the tensors below. A label that a kind of
    supervision does not have is absent.
    """

    @property
    def gt_presence(self) -> Tensor:
        """Whether the way's class occurs in the query, (N,) bool."""
        return self._gt_presence

    @gt_presence.setter
    def gt_presence(self, value: Tensor) -> None:
        self.set_field(value, '_gt_presence', dtype=Tensor)

    @gt_presence.deleter
    def gt_presence(self) -> None:
        del self._gt_presence

    @property
    def support_masks(self) -> Tensor:
        """1 where a support image shows the way's class, (N, K, H, W) uint8."""
        return self._support_masks

    @support_masks.setter
    def support_masks(self, value: Tensor) -> None:
        self.set_field(value, '_support_masks', dtype=Tensor)

    @support_masks.deleter
    def support_masks(self) -> None:
        del self._support_masks

    @property
    def presence_scores(self) -> Tensor:
        """Predicted probability of presence, (N,) float in 0..1."""
        return self._presence_scores

    @presence_scores.setter
    def presence_scores(self, value: Tensor) -> None:
        self.set_field(value, '_presence_scores', dtype=Tensor)

    @presence_scores.deleter
    def presence_scores(self) -> None:
        del self._presence_scores
