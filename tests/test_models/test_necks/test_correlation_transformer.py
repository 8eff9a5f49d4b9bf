"""CorrelationTransformer, CST's and EMAT's, against sections 3, 4 and 9.

The reference below works in the naive order: it correlates with every support token,
convolves at full size and pools afterwards, and masks logits with -inf, in float64.
"""

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models.necks import CorrelationTransformer, correlation_attention
from mmwsfs.models.necks.correlation_transformer import resize_support
from mmwsfs.structures import TokenGrid

LAYERS, HEADS, HEAD_WIDTH = 3, 2, 5
ATTENTION_HEADS, GROUPS = 8, 4

# Side of the support grid and the kernels that give it.
both_necks = pytest.mark.parametrize('size, kernels', [
    pytest.param(12, (4, 3), id='cst'), pytest.param(20, (5, 4), id='emat')])


def bilinear_matrix(size_in, size_out):
    """Output i reads position i * (in - 1) / (out - 1): align_corners=True."""
    matrix = torch.zeros(size_out, size_in, dtype=torch.float64)
    for i in range(size_out):
        position = i * (size_in - 1) / (size_out - 1)
        low = min(int(position), size_in - 2)
        matrix[i, low] = 1 - (position - low)
        matrix[i, low + 1] = position - low
    return matrix


def naive_pool(x, kernel):
    """Average k x k windows of the support grid, the last axis; CLS stays."""
    side = int((x.shape[-1] - 1)**0.5)
    assert side * side + 1 == x.shape[-1]
    columns = [x[..., 0]]
    for top in range(0, side, kernel):
        for left in range(0, side, kernel):
            window = [
                x[..., 1 + row * side + column]
                for row in range(top, top + kernel)
                for column in range(left, left + kernel)]
            columns.append(sum(window) / len(window))
    return torch.stack(columns, dim=-1)


def naive_group_norm(x, weight, bias):
    """(C, Q, S): every group has its own mean and (biased) variance."""
    parts = []
    for group in x.chunk(GROUPS):
        mean = group.mean()
        variance = ((group - mean)**2).mean()
        parts.append((group - mean) / (variance + 1e-5).sqrt())
    return torch.cat(parts) * weight[:, None, None] + bias[:, None, None]


def conv(x, weight, bias=None):
    """1x1 convolution of (C, Q, S)."""
    y = torch.einsum('oc,cqs->oqs', weight[:, :, 0, 0], x)
    return y if bias is None else y + bias[:, None, None]


def naive_correlation(query, support, grid, size):
    """Section 3 for one pair: (L, 1 + hw, C) each -> (H * L, hw, 1 + s*s)."""
    rows, columns = bilinear_matrix(grid[0], size), bilinear_matrix(grid[1], size)
    channels = [None] * (LAYERS * HEADS)
    for layer in range(LAYERS):
        patches = support[layer, 1:].reshape(*grid, -1)
        patches = torch.einsum('ia,jb,abc->ijc', rows, columns, patches)
        tokens = torch.cat([support[layer, :1], patches.reshape(size * size, -1)])
        for head in range(HEADS):
            part = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
            q, s = query[layer, 1:, part], tokens[:, part]
            q = q / (q**2).sum(dim=-1, keepdim=True).sqrt()
            s = s / (s**2).sum(dim=-1, keepdim=True).sqrt()
            channels[head * LAYERS + layer] = q @ s.T
    return torch.stack(channels)


def naive_block(x, mask, p, prefix, kernel):
    """Section 4, one block: (C, Q, 1 + s*s) -> (O, Q, 1 + (s/k)^2)."""
    side = int((x.shape[-1] - 1)**0.5)
    resized = F.interpolate(
        mask[None, None].float(), (side, side), mode='bilinear', align_corners=True)
    masked_out = torch.cat([torch.tensor([False]), resized.flatten() == 0])

    def get(name):
        return p[f'{prefix}.{name}']

    qkv = conv(x, get('qkv.weight'), get('qkv.bias'))
    hidden = len(qkv) // 3
    q, k, v = qkv[:hidden], qkv[hidden:2 * hidden], qkv[2 * hidden:]
    q = naive_pool(q, kernel)
    width = hidden // ATTENTION_HEADS
    outputs = []
    for head in range(ATTENTION_HEADS):
        part = slice(head * width, (head + 1) * width)
        logits = torch.einsum('cqt,cqs->qts', q[part], k[part])
        logits = logits.masked_fill(masked_out, float('-inf'))
        outputs.append(torch.einsum('qts,cqs->cqt', logits.softmax(dim=-1), v[part]))
    y = naive_group_norm(
        torch.cat(outputs), get('aggregate.0.weight'), get('aggregate.0.bias')).relu()
    y = conv(y, get('aggregate.2.weight'))
    y = naive_group_norm(y, get('aggregate.3.weight'), get('aggregate.3.bias')).relu()
    shortcut = naive_pool(conv(x, get('shortcut.0.weight')), kernel)
    shortcut = naive_group_norm(
        shortcut, get('shortcut.1.weight'), get('shortcut.1.bias')).relu()
    y = naive_group_norm(
        y + shortcut, get('attention_norm.weight'), get('attention_norm.bias'))
    z = conv(y, get('ffn.0.weight'))
    z = naive_group_norm(z, get('ffn.1.weight'), get('ffn.1.bias')).relu()
    z = conv(z, get('ffn.3.weight'))
    return naive_group_norm(y + z, get('ffn_norm.weight'), get('ffn_norm.bias'))


def naive_neck(query, support, masks, p, size, kernels, moments=None):
    """(B, O, h, w) classification and segmentation maps, pair by pair.

    With ``moments``, mean and deviation of every channel: of the standardised one.
    """
    cls_maps, seg_maps = [], []
    for index, mask in enumerate(masks):
        x = naive_correlation(
            query.tokens[index].double(), support.tokens[index].double(),
            support.grid, size)
        if moments is not None:
            mean, deviation = moments
            x = (x - mean[:, None, None]) / deviation[:, None, None]
        for number, kernel in enumerate(kernels):
            x = naive_block(x, mask, p, f'blocks.{number}', kernel)
        for first in (0, 3):
            x = conv(x, p[f'project.{first}.weight'], p[f'project.{first}.bias'])
            x = naive_group_norm(
                x, p[f'project.{first + 1}.weight'],
                p[f'project.{first + 1}.bias']).relu()
        cls_maps.append(x[:, :, 0].reshape(-1, *query.grid))
        seg_maps.append(x[:, :, 1].reshape(-1, *query.grid))
    return torch.stack(cls_maps), torch.stack(seg_maps)


def random_features(batch, grid):
    shape = (batch, LAYERS, 1 + grid[0] * grid[1], HEADS * HEAD_WIDTH)
    return TokenGrid(torch.randn(shape), grid)


def random_neck(**kwargs):
    """Every parameter random, norms included, so that a mix-up of two shows."""
    neck = CorrelationTransformer(num_layers=LAYERS, num_heads=HEADS, **kwargs)
    with torch.no_grad():
        for name, parameter in neck.named_parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.4)
            if parameter.ndim == 1 and name.endswith('weight'):
                parameter.add_(1)
    return neck


def assert_close(found, expected):
    """Equal to 1e-5 of the largest value."""
    error = (found.double() - expected).abs().max()
    assert error <= 1e-5 * max(1, expected.abs().max()), f'off by {error}'


def mask_full(height, width):
    return torch.ones(height, width)


def mask_partial(height, width):
    mask = torch.zeros(height, width)
    mask[height // 5:height // 2, width // 4:2 * width // 3] = 1
    return mask


def mask_dot(height, width):
    """So small that it is lost when the mask is resized."""
    mask = torch.zeros(height, width)
    mask[2, 2] = 1
    return mask


def mask_empty(height, width):
    return torch.zeros(height, width)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@both_necks
@pytest.mark.parametrize('chunk', [2**20, 2000, 1])
@pytest.mark.parametrize(
    'mask', [mask_full, mask_partial, mask_dot, mask_empty])
@pytest.mark.parametrize(
    'query_grid, support_grid', [((5, 5), (5, 5)), ((4, 7), (6, 3))])
def test_equals_the_naive_order(
        query_grid, support_grid, mask, chunk, size, kernels, monkeypatch):
    """Both token maps and the gradients of all parameters, however it is chunked.

    The neck leaves masked keys out, the reference fills their logits with -inf.
    """
    monkeypatch.setitem(correlation_attention.CHUNK_ELEMENTS, 'cpu', chunk)
    neck = random_neck(kernels=kernels, channels=(16, 32))
    assert neck.support_size == size
    query, support = random_features(2, query_grid), random_features(2, support_grid)
    # The second pair of the batch keeps other keys than the first.
    masks = torch.stack([mask(40, 32), mask_partial(40, 32).flip(0)])
    params = {
        name: value.detach().double().requires_grad_()
        for name, value in neck.named_parameters()}

    found = neck(query, support, masks)
    expected = naive_neck(query, support, masks, params, size, kernels)

    assert found[0].shape == found[1].shape == (2, 32, *query_grid)
    weights = [torch.randn(x.shape) for x in found]
    for x, y in zip(found, expected):
        assert_close(x, y)
        assert y.std() > 0.1
    assert (expected[0] - expected[1]).abs().max() > 0.1
    sum((x * w).sum() for x, w in zip(found, weights)).backward()
    sum((x * w).sum() for x, w in zip(expected, weights)).backward()
    for name, parameter in neck.named_parameters():
        assert_close(parameter.grad, params[name].grad)
        assert params[name].grad.abs().max() > 0, name


@both_necks
def test_gradients_reach_features(size, kernels):
    """A backbone that is not frozen learns through the neck."""
    neck = random_neck(kernels=kernels, channels=(16, 32))
    assert neck.support_size == size
    query, support = (random_features(1, (4, 4)) for _ in range(2))
    tokens = [x.tokens.requires_grad_() for x in (query, support)]
    masks = mask_partial(20, 20)[None]
    params = {name: value.detach().double() for name, value in neck.named_parameters()}
    weights = torch.randn(2, 1, 32, 4, 4)
    found, expected = (
        torch.autograd.grad(
            sum((x * w).sum() for x, w in zip(maps, weights)), tokens)
        for maps in (neck(query, support, masks),
                     naive_neck(query, support, masks, params, size, kernels)))
    for x, y in zip(found, expected):
        assert_close(x, y.double())
        assert y.abs().max() > 0.01


@both_necks
def test_correlation_is_not_kept_for_the_backward_pass(size, kernels):
    """Memory of a step grows with its tokens, not with their product."""
    neck = random_neck(kernels=kernels, channels=(16, 32))
    assert neck.support_size == size
    query, support = random_features(1, (20, 20)), random_features(1, (12, 12))

    def kept(mask):
        """Elements of every tensor that is kept for the backward pass."""
        sizes = {}

        def note(tensor):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            maps = neck(query, support, mask)
            assert maps[0].requires_grad
        return sizes.values()

    tokens = LAYERS * HEADS * HEAD_WIDTH * 400
    correlation = LAYERS * HEADS * 400 * (1 + size * size)
    everything, nothing = kept(torch.ones(1, 12, 12)), kept(torch.zeros(1, 12, 12))
    assert tokens <= max(everything) < correlation / 5
    # Nor is it kept in pieces: without any patch to attend to there would be none.
    assert sum(everything) - sum(nothing) < correlation


def test_other_kernels():
    """A support grid of 6 pooled by 2, then by 3, and three blocks."""
    query, support = random_features(1, (3, 4)), random_features(1, (4, 4))
    masks = mask_partial(20, 20)[None]
    for size, kernels, channels in (
            (6, (2, 3), (16, 32)), (12, (2, 3, 2), (16, 32, 16))):
        neck = random_neck(kernels=kernels, channels=channels)
        params = {
            name: value.detach().double() for name, value in neck.named_parameters()}
        expected = naive_neck(query, support, masks, params, size, kernels)
        for x, y in zip(neck(query, support, masks), expected):
            assert_close(x, y)


@torch.no_grad()
def test_mask_decides_what_is_read():
    """Patches outside the mask have no say in the keys; the support CLS always has."""
    neck = random_neck(channels=(16, 32))
    query, support = random_features(1, (4, 4)), random_features(1, (12, 12))
    full, half = torch.ones(1, 12, 12), torch.ones(1, 12, 12)
    half[:, 6:] = 0
    assert not torch.allclose(
        neck(query, support, full)[1], neck(query, support, half)[1], atol=1e-3)
    # The values of a mask do not matter, only whether they are 0.
    assert torch.equal(
        neck(query, support, half)[1], neck(query, support, half * 0.3)[1])
    # A bool mask, as the labeler gives it, is a mask too.
    assert torch.equal(
        neck(query, support, half)[1], neck(query, support, half.bool())[1])


@torch.no_grad()
def test_half_precision_features_are_taken():
    """The feature cache hands out half precision; the neck works in single."""
    neck = random_neck(channels=(16, 32))
    query, support = random_features(1, (4, 4)), random_features(1, (4, 4))
    masks = torch.ones(1, 8, 8)
    found = neck(
        *(TokenGrid(x.tokens.half(), x.grid) for x in (query, support)), masks)
    rounded = neck(
        *(TokenGrid(x.tokens.half().float(), x.grid) for x in (query, support)), masks)
    for x, y in zip(found, rounded):
        assert x.dtype == torch.float32
        assert torch.equal(x, y)


@pytest.mark.parametrize('settings, last', [
    pytest.param({}, 128, id='cst'),
    pytest.param(dict(kernels=(5, 4), channels=(32, 64)), 64, id='emat')])
def test_shapes(settings, last):
    """Section 4: 72 -> 32 -> 128, which biases there are, and the parameter count.

    EMAT's, 72 -> 32 -> 64, has the same layers.
    """
    neck = CorrelationTransformer(num_layers=12, num_heads=6, **settings)
    assert neck.out_channels == last
    shapes = {
        name: tuple(value.shape) for name, value in neck.named_parameters()}
    expected = {}
    for number, (channels, out) in enumerate(((72, 32), (32, last))):
        half, block = out // 2, f'blocks.{number}.'
        expected[f'{block}qkv.weight'] = (3 * half, channels, 1, 1)
        expected[f'{block}qkv.bias'] = (3 * half, )
        expected[f'{block}aggregate.2.weight'] = (out, half, 1, 1)
        expected[f'{block}shortcut.0.weight'] = (out, channels, 1, 1)
        expected[f'{block}ffn.0.weight'] = (half, out, 1, 1)
        expected[f'{block}ffn.3.weight'] = (out, half, 1, 1)
        for norm, width in (
                ('aggregate.0', half), ('aggregate.3', out), ('shortcut.1', out),
                ('attention_norm', out), ('ffn.1', half), ('ffn_norm', out)):
            expected[f'{block}{norm}.weight'] = (width, )
            expected[f'{block}{norm}.bias'] = (width, )
    for first in (0, 3):
        expected[f'project.{first}.weight'] = (last, last, 1, 1)
        for name in (f'{first}.bias', f'{first + 1}.weight', f'{first + 1}.bias'):
            expected[f'project.{name}'] = (last, )
    assert shapes == expected
    groups = {
        module.num_groups for module in neck.modules()
        if isinstance(module, torch.nn.GroupNorm)}
    assert groups == {4}


@pytest.mark.parametrize('settings', [
    dict(channels=(32, )), dict(kernels=(12, )),
    dict(kernels=(2, 2, 3), channels=(32, 128))])
def test_a_kernel_for_every_block(settings):
    """The error names both settings and their values."""
    with pytest.raises(ValueError, match=r'channels \(.*\) and kernels \(.*\) must be'):
        CorrelationTransformer(num_layers=12, num_heads=6, **settings)


@torch.no_grad()
@pytest.mark.parametrize('grid', [(6, 6), (5, 3), (12, 12)])
def test_resize_support(grid):
    """Patches bilinearly to s x s, CLS as it is, single precision; as once is twice."""
    support = TokenGrid(random_features(2, grid).tokens.half(), grid)
    found = resize_support(support, 12)
    assert found.grid == (12, 12) and found.tokens.dtype == torch.float
    rows, columns = (bilinear_matrix(side, 12) for side in grid)
    patches = support.tokens[:, :, 1:].double().unflatten(2, grid)
    expected = torch.einsum('ia,jb,nlabc->nlijc', rows, columns, patches).flatten(2, 3)
    assert_close(found.tokens[:, :, 1:], expected)
    assert torch.equal(found.tokens[:, :, 0], support.tokens[:, :, 0].float())
    assert torch.equal(resize_support(found, 12).tokens, found.tokens)


@torch.no_grad()
def test_supports_of_each_query():
    """Of several queries: in equal rows, or as numbers say, in any order."""
    neck = random_neck(channels=(16, 32))
    query, support = random_features(2, (4, 7)), random_features(4, (5, 5))
    masks = torch.stack([mask_partial(40, 32), mask_full(40, 32),
                         mask_partial(40, 32).flip(0), mask_dot(40, 32)])
    for numbers, query_of in (([0, 0, 1, 1], None), ([1, 0, 0, 1], [1, 0, 0, 1])):
        found = neck(query, support, masks, query_of)
        for pair, number in enumerate(numbers):
            alone = neck(*(
                TokenGrid(x.tokens[n:n + 1], x.grid)
                for x, n in ((query, number), (support, pair))), masks[pair:pair + 1])
            for x, y in zip(found, alone):
                assert torch.equal(x[pair:pair + 1], y)


def test_a_query_is_prepared_once_for_supports_in_a_row(monkeypatch):
    """For each run of its supports, not for each of them."""
    neck = random_neck(channels=(16, 32)).eval()
    query, support = random_features(2, (4, 7)), random_features(4, (5, 5))
    split, prepared = neck._split_heads, []
    monkeypatch.setattr(
        neck, '_split_heads',
        lambda tokens: prepared.append(tokens.shape[1]) or split(tokens))
    for query_of, runs in (([0, 0, 1, 1], 2), ([0, 0, 1, 0], 3), ([1, 1, 1, 1], 1)):
        prepared.clear()
        with torch.no_grad():
            neck(query, support, torch.ones(4, 8, 8), query_of)
        assert prepared.count(4 * 7) == runs
        assert prepared.count(1 + 12 * 12) == 4


@pytest.mark.parametrize('mask', [mask_full, mask_partial, mask_empty])
def test_standardised_equals_the_naive_order(mask):
    """Weights changed instead of the correlation: the same maps, the same gradients."""
    neck = random_neck(channels=(16, 32), standardise=True).eval()
    neck.moments.mean.copy_(torch.randn(HEADS * LAYERS))
    neck.moments.var.copy_(torch.rand(HEADS * LAYERS) + 0.1)
    query, support = random_features(2, (4, 7)), random_features(2, (5, 5))
    masks = torch.stack([mask(40, 32), mask_partial(40, 32).flip(0)])
    params = {
        name: value.detach().double().requires_grad_()
        for name, value in neck.named_parameters()}
    moments = (neck.moments.mean.double(), neck.moments.var.double().sqrt())
    found = neck(query, support, masks)
    expected = naive_neck(query, support, masks, params, 12, (4, 3), moments)
    for x, y in zip(found, expected):
        assert_close(x, y)
    weights = [torch.randn(x.shape) for x in found]
    sum((x * w).sum() for x, w in zip(found, weights)).backward()
    sum((x * w.double()).sum() for x, w in zip(expected, weights)).backward()
    scale = max(p.grad.abs().max() for p in params.values())
    for name, parameter in neck.named_parameters():
        error = (parameter.grad.double() - params[name].grad).abs().max()
        assert error <= 1e-5 * scale, name


def test_moments_of_the_training_pairs():
    """Mean and variance of the pooled patches of all pairs, only of training."""
    neck = random_neck(channels=(16, 32), standardise=True)
    seen = []
    for _ in range(3):
        query, support = random_features(2, (4, 7)), random_features(2, (5, 5))
        neck(query, support, torch.ones(2, 8, 8))
        for pair in range(2):
            correlation = naive_correlation(
                query.tokens[pair].double(), support.tokens[pair].double(), (5, 5), 12)
            seen.append(naive_pool(correlation, 4)[:, :, 1:].flatten(1))
    neck.eval()(query, support, torch.ones(2, 8, 8))
    assert neck.moments.num_pairs == 6
    values = torch.cat(seen, dim=1)
    assert_close(neck.moments.mean, values.mean(dim=1))
    assert_close(neck.moments.var, values.var(dim=1, correction=0))


def test_a_pair_does_not_depend_on_its_batch_while_moments_are_learned():
    """The moments change after a step, not within it."""
    torch.manual_seed(1)
    neck = random_neck(channels=(16, 32), standardise=True)
    query, support = random_features(3, (4, 7)), random_features(3, (5, 5))
    masks = torch.ones(3, 8, 8)
    neck(query, support, masks)
    state = {name: value.clone() for name, value in neck.state_dict().items()}
    together = neck(query, support, masks)[1]
    neck.load_state_dict(state)
    alone = neck(*(
        TokenGrid(x.tokens[2:], x.grid) for x in (query, support)), masks[2:])[1]
    assert torch.equal(together[2:], alone)


def test_no_moments_unless_asked_for():
    """Released checkpoints hold none."""
    assert not any('moments' in name for name in random_neck().state_dict())
