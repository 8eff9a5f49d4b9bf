"""What the tests of the hooks share."""
from __future__ import annotations

from collections import Counter

import pytest

from mmwsfs.models import FewShotSegmentor


@pytest.fixture
def image_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often every lazy image is put through a model from now on."""
    reads: Counter[str] = Counter()
    extract = FewShotSegmentor.extract_feat

    def counted(self, images):
        if hasattr(images, 'keys'):
            reads.update(images.keys())
        return extract(self, images)

    monkeypatch.setattr(FewShotSegmentor, 'extract_feat', counted)
    return reads
