"""Measure what the storage of the feature cache changes in a model's logits.

    cache_effect.py CONFIG [CHECKPOINT] [--episodes 20] [--cfg-options ...]

The test episodes of the config are predicted from features as the backbone gives them,
and from features that were stored. Without a checkpoint the neck and the heads are
untrained. A row a storage: bytes of an image; differences of the presence logits and
of the segmentation logits, largest and mean; pixels and presences decided otherwise.
"""

from __future__ import annotations

import argparse

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from rich.progress import track

from mmwsfs.apis import init_model
from mmwsfs.cli.common import add_common_arguments, load_config
from mmwsfs.models import FewShotSegmentor
from mmwsfs.models.feature_cache.storage import (
    STORAGES,
    decode,
    encode,
    num_bytes,
)
from mmwsfs.registry import DATASETS
from mmwsfs.structures import ViTFeatures
from mmwsfs.utils.tables import markdown_table

COLUMNS = ('storage', 'bytes of an image', 'presence logits, max', 'mean',
           'segmentation logits, max', 'mean', 'pixels decided otherwise',
           'presences decided otherwise')


def logits(model: FewShotSegmentor, query: ViTFeatures, support: ViTFeatures,
           data: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Presence and segmentation logits of one episode, see ``pair_logits``."""
    sample = data['data_samples'][0]
    given = (list(sample.support_masks.flatten(0, 1))
             if 'support_masks' in sample else None)
    masks = model.support_masks(
        support, tuple(data['inputs']['query'].shape[-2:]), given)
    return model.pair_logits(query, model.embed_supports(support, masks))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='file that training wrote')
    parser.add_argument('--episodes', type=int, default=20, help='how many')
    add_common_arguments(parser)
    args = parser.parse_args()
    cfg = load_config(args)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(cfg.randomness.seed)
    model = init_model(cfg, args.checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    differences = {storage: ([], [], [], []) for storage in STORAGES}
    size, spread = {}, []
    for number in track(range(min(args.episodes, len(dataset))), 'episodes'):
        with torch.no_grad():
            data = model.data_preprocessor(pseudo_collate([dataset[number]]))
            query, support, _ = model.extract_episodes(data['inputs'])
            wanted = logits(model, query, support, data)
            spread.append(wanted[1].flatten())
            for storage, lists in differences.items():
                stored = [encode(part, storage) for part in (query, support)]
                size[storage] = num_bytes(stored[0])
                found = logits(
                    model, *(decode(part, torch.device('cpu')) for part in stored),
                    data)
                for index, (one, two) in enumerate(zip(found, wanted)):
                    lists[index].append((one - two).abs().flatten())
                    lists[2 + index].append(
                        (one.argmax(dim=1) != two.argmax(dim=1)).float().flatten())
    rows = []
    for storage, lists in differences.items():
        presence, pixels, presences_off, pixels_off = map(torch.cat, lists)
        numbers = (f'{value:.2g}' for value in (
            presence.max(), presence.mean(), pixels.max(), pixels.mean()))
        rows.append((
            storage, f'{size[storage]:,}', *numbers, f'{100 * pixels_off.mean():.2g} %',
            f'{int(presences_off.sum())} of {len(presences_off)}'))
    print(markdown_table(COLUMNS, rows))
    print('standard deviation of the segmentation logits: '
          f'{torch.cat(spread).std():.2g}')


if __name__ == '__main__':
    main()
