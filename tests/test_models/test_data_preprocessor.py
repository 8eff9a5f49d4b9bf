"""FewShotDataPreProcessor: stacked, RGB, normalised."""

import numpy as np
import pytest
import torch

from mmwsfs.models import FewShotDataPreProcessor
from mmwsfs.structures import FewShotDataSample, LazyImage

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def random_image(*lead, size=(4, 6)):
    return torch.randint(0, 256, (*lead, 3, *size), dtype=torch.uint8)


def naive(image, bgr):
    """One (3, H, W) image, value by value."""
    array = image.numpy().astype(float)
    result = np.zeros_like(array)
    for channel in range(3):
        source = 2 - channel if bgr else channel
        result[channel] = (array[source] - MEAN[channel]) / STD[channel]
    return torch.from_numpy(result).float()


@pytest.mark.parametrize('bgr', [True, False])
def test_normalised_batch(bgr):
    """Queries (B, 3, H, W) and supports (B, N, K, 3, H, W)."""
    queries = [random_image() for _ in range(2)]
    supports = [random_image(3, 2) for _ in range(2)]
    samples = [FewShotDataSample() for _ in range(2)]
    preprocessor = FewShotDataPreProcessor(MEAN, STD, bgr_to_rgb=bgr)
    result = preprocessor(dict(
        inputs=dict(query=list(queries), support=list(supports)),
        data_samples=samples))
    assert len(result['data_samples']) == 2
    query, support = result['inputs']['query'], result['inputs']['support']
    assert query.dtype == support.dtype == torch.float32
    assert query.shape == (2, 3, 4, 6) and support.shape == (2, 3, 2, 3, 4, 6)
    for b in range(2):
        torch.testing.assert_close(query[b], naive(queries[b], bgr))
        for n in range(3):
            for k in range(2):
                torch.testing.assert_close(
                    support[b, n, k], naive(supports[b][n, k], bgr))


def test_bgr_is_the_default():
    """Images are loaded as BGR."""
    image = random_image()
    result = FewShotDataPreProcessor(MEAN, STD)(dict(inputs=dict(query=[image])))
    torch.testing.assert_close(result['inputs']['query'][0], naive(image, True))
    assert result['data_samples'] is None


@pytest.mark.parametrize('second', [
    dict(query=random_image(size=(4, 5)), support=random_image(1, 1)),
    dict(query=random_image(), support=random_image(1, 2)),
])
def test_images_of_one_batch_are_of_one_shape(second):
    """Another size, or another shot: the message says what to set."""
    first = dict(query=random_image(), support=random_image(1, 1))
    with pytest.raises(ValueError, match='differ in shape.*keep_ratio=False'):
        FewShotDataPreProcessor(MEAN, STD)(dict(inputs={
            key: [first[key], second[key]] for key in first}))


def test_lazy_episodes_of_one_batch_are_of_one_shape():
    """Lazy supports of another shot cannot be stacked either."""
    image = LazyImage('key', (4, 6), lambda: random_image(size=(4, 6)))
    supports = [np.full((1, shot), image, dtype=object) for shot in (1, 2)]
    with pytest.raises(ValueError, match=r'differ in \(way, shot\), .*\(1, 2\)'):
        FewShotDataPreProcessor(MEAN, STD)(dict(inputs=dict(support=supports)))
