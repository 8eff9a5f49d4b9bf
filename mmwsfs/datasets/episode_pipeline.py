from __future__ import annotations


def episode_pipeline(img_size: int | None, query_mask: dict | None = None,
                     support_mask: dict | None = None,
                     score_at_original_size: bool = False) -> list[dict]:
    """Transforms of an episode: images are loaded and resized to a square, no more.

    Decoded and resized by Pillow, which published numbers rest on.

    Args:
        img_size: pixels a side of all images of the episode; None is refused.
        query_mask: config of the transform that loads the query's mask. None: none.
        support_mask: the same for each support.
        score_at_original_size: the query's mask is left unresized, for scores at the
            image's own size; else it is resized with its image, as training needs it.

    Returns:
        list: configs of an ``EpisodeTransform`` and of ``PackEpisodeInputs``.

    Raises:
        ValueError: ``img_size`` is not a whole number of pixels, 1 at least.
    """
    if type(img_size) is not int or img_size < 1:
        raise ValueError(
            f'img_size={img_size!r} must be a whole number of pixels a side, 1 at '
            'least, such as img_size=400; or give a pipeline')
    load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
    resize = dict(type='Resize', scale=(img_size, img_size), backend='pillow')
    query_masks, support_masks = (
        [] if mask is None else [mask] for mask in (query_mask, support_mask))
    query = [load, resize, *query_masks] if score_at_original_size else [
        load, *query_masks, resize]
    return [
        dict(
            type='EpisodeTransform',
            query=query,
            support=[load, *support_masks, resize]),
        dict(type='PackEpisodeInputs'),
    ]
