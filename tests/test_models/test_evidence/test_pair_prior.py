"""PairPrior against loops over single pairs; and that it tells classes apart."""

import math

import pytest
import torch

from mmwsfs.models import PairPrior

LAYERS, WIDTH = 3, 8


def random_cls(batch):
    """CLS tokens of B images, (B, L, C), half precision as from a cache."""
    return (torch.randn(batch, LAYERS, WIDTH) + 2).half()


def naive_cosine(query, support, centre):
    """Of one pair's CLS tokens after one block, (C,) each."""
    a = [x - c for x, c in zip(query.tolist(), centre)]
    b = [x - c for x, c in zip(support.tolist(), centre)]
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b))


def naive_centre(images, layer):
    """Mean CLS token of all images, (C,) numbers."""
    tokens = [token[layer].tolist() for batch in images for token in batch]
    return [sum(column) / len(tokens) for column in zip(*tokens)]


def centre_of(prior):
    """(L, C)."""
    return prior.centre.mean.view(LAYERS, WIDTH)


@pytest.fixture
def trained():
    """A prior with random weights that has seen batches of other sizes, and these.

    The first query of a batch has two supports.
    """
    torch.manual_seed(0)
    prior = PairPrior(num_layers=LAYERS, embed_dims=WIDTH)
    with torch.no_grad():
        prior.weight.normal_()
        prior.bias.fill_(0.3)
    batches = []
    for size in (2, 5, 3):
        query_of = [0, *range(size - 1)]
        batches.append((random_cls(size - 1), random_cls(size), query_of))
        prior(*batches[-1])
    return prior.eval(), batches


def test_statistics_are_of_all_pairs_seen(trained):
    """Each pair counts alike; its cosine is that to the centre of its time."""
    prior, batches = trained
    assert prior.moments.num_pairs == prior.centre.num_pairs == 10
    for layer in range(LAYERS):
        seen, cosines = [], []
        for query, support, query_of in batches:
            seen += [query[query_of], support]
            centre = naive_centre(seen, layer)
            cosines += [
                naive_cosine(query[number, layer], support[i, layer], centre)
                for i, number in enumerate(query_of)]
        mean = sum(cosines) / 10
        var = sum((value - mean)**2 for value in cosines) / 10
        torch.testing.assert_close(centre_of(prior)[layer], torch.tensor(centre))
        torch.testing.assert_close(prior.moments.mean[layer], torch.tensor(mean))
        torch.testing.assert_close(prior.moments.var[layer], torch.tensor(var))


@torch.no_grad()
def test_logits_of_every_support(trained):
    """Three supports in a row for each query; a pair's are the same in any batch."""
    prior, _ = trained
    query, support = random_cls(2), random_cls(6)
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    found = prior(query, support, [0, 0, 0, 1, 1, 1])
    assert found.shape == (6, 2) and found.dtype == torch.float
    for index in range(6):
        row = index // 3
        logit = prior.bias.item()
        for layer in range(LAYERS):
            cosine = naive_cosine(
                query[row, layer], support[index, layer],
                centre_of(prior)[layer].tolist())
            scale = math.sqrt(prior.moments.var[layer].item() + 1e-6)
            logit += prior.weight[layer].item() * (
                cosine - prior.moments.mean[layer].item()) / scale
        assert found[index, 1] - found[index, 0] == pytest.approx(logit, abs=1e-4)
        alone = prior(query[row:row + 1], support[index:index + 1], [0])
        assert torch.equal(alone[0], found[index])
    assert found.std(dim=0).min() > 0.1
    for name, value in prior.state_dict().items():
        assert torch.equal(value, before[name]), f'{name} changed in testing'


@torch.no_grad()
def test_queries_of_any_order(trained):
    """Each support is compared with the query that it is said to be of."""
    prior, _ = trained
    query, support, query_of = random_cls(3), random_cls(4), [2, 0, 2, 1]
    assert torch.equal(
        prior(query, support, query_of),
        prior(query[query_of], support, range(4)))


def test_untrained_leaves_the_head_alone():
    """In testing and in the first training step."""
    prior = PairPrior(num_layers=LAYERS, embed_dims=WIDTH)
    for mode in (False, True):
        found = prior.train(mode)(random_cls(2), random_cls(2), [0, 1])
        assert torch.equal(found, torch.zeros(2, 2))


def test_loss_is_of_the_sum_and_trains_the_prior_alone(trained):
    """Cross entropy by its definition; the head's logits get no gradient."""
    prior, _ = trained
    query, support = random_cls(3), random_cls(3)
    logits = torch.randn(3, 2, requires_grad=True)
    presence = torch.tensor([True, False, True])
    own = prior(query, support, range(3))
    loss = prior.loss(own, logits, presence)['prior.loss_ce']
    with torch.no_grad():
        probabilities = (logits + own).exp()
        probabilities /= probabilities.sum(dim=1, keepdim=True)
    expected = -sum(
        math.log(probabilities[i, int(presence[i])]) for i in range(3)) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert logits.grad is None
    assert prior.weight.grad.abs().min() > 0 and prior.bias.grad != 0


def test_finds_new_classes_beside_what_all_images_share():
    """Learned on some classes it tells others apart, but not without its centre."""
    torch.manual_seed(1)
    shared = 20 * torch.randn(LAYERS, WIDTH)
    classes = torch.randn(40, LAYERS, WIDTH)

    def pairs(first, last, number):
        own = torch.randint(first, last, (number,))
        present = torch.arange(number) % 2 == 0
        other = torch.where(
            present, own, first + (own - first + 1) % (last - first))
        return (*((shared + classes[index]
                   + 0.5 * torch.randn(number, LAYERS, WIDTH)).half()
                  for index in (own, other)), present)

    prior = PairPrior(num_layers=LAYERS, embed_dims=WIDTH)
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for _ in range(100):
        query, support, present = pairs(0, 30, 16)
        optimizer.zero_grad()
        prior.loss(prior(query, support, range(16)), torch.zeros(16, 2), present)[
            'prior.loss_ce'].backward()
        optimizer.step()
    query, support, present = pairs(30, 40, 200)
    prior.eval()
    with torch.no_grad():
        found = prior(query, support, range(200)).argmax(dim=1)
        right = (found == present.long()).float().mean()
        raw = torch.nn.functional.cosine_similarity(
            query.float(), support.float(), dim=-1)
    assert right > 0.9
    assert raw.min() > 0.9  # alike in what they share
