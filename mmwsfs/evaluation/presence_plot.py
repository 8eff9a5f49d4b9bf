"""How good scores of presence are, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmwsfs.utils.files import whole_file

from .presence_quality import BINS, reliability_bins, risk_coverage, roc_curve


def plot_presence(path: Path, scores: np.ndarray, presence: np.ndarray,
                  numbers: dict[str, float]) -> None:
    """Write three panels: reliability, risk and coverage, ROC.

    The first shows, of each bin of the score, the share in which the class is present
    over the mean score, and below it how many predictions the bin holds. The third is
    empty where there is but one truth.

    Args:
        path: of the PNG, which is written in one step.
        scores: (M,) float in 0..1.
        presence: (M,) bool.
        numbers: for the titles: ``ECE``, ``AURC`` and perhaps ``presence_AUC``, in
            per cent.
    """
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(12, 4.4), layout='constrained')
    grid = figure.add_gridspec(2, 3, height_ratios=(3, 1))
    reliability = figure.add_subplot(grid[0, 0])
    histogram = figure.add_subplot(grid[1, 0], sharex=reliability)
    bins = reliability_bins(scores, presence)
    mean = [entry['score'] for entry in bins]
    reliability.plot([0, 1], [0, 1], 'k:', linewidth=1, label='calibrated')
    reliability.plot(
        mean, [entry['present'] for entry in bins], 'o-', label='found', clip_on=False)
    reliability.set(
        title=f"reliability, ECE {numbers['ECE']:.1f} %", ylabel='share present',
        xlim=(0, 1), ylim=(0, 1))
    reliability.tick_params(labelbottom=False)
    reliability.legend()
    histogram.bar(
        [entry['low'] for entry in bins], [entry['count'] for entry in bins],
        width=1 / BINS, align='edge', edgecolor='white')
    histogram.set(xlabel='score of presence', ylabel='predictions')

    panel = figure.add_subplot(grid[:, 1])
    risk = 100 * risk_coverage(scores, presence)
    panel.plot(100 * np.arange(1, len(risk) + 1) / len(risk), risk)
    panel.set(
        title=f"risk and coverage, AURC {numbers['AURC']:.1f} %",
        xlabel='most confident predictions, %', ylabel='wrong among them, %',
        xlim=(0, 100), ylim=(0, None))

    panel = figure.add_subplot(grid[:, 2])
    panel.plot([0, 100], [0, 100], 'k:', linewidth=1)
    title = 'ROC: one truth, no curve'
    if 'presence_AUC' in numbers:
        false, true = roc_curve(scores, presence)
        panel.plot(100 * false, 100 * true)
        title = f"ROC, area {numbers['presence_AUC']:.1f} %"
    panel.set(
        title=title, xlabel='absent, called present, %',
        ylabel='present, called present, %', xlim=(0, 100), ylim=(0, 100))
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format='png', dpi=110)
