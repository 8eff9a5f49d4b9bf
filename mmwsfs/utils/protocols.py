"""The protocols of a test, by the names that configs and command lines give them."""

from __future__ import annotations

# Few-shot classification and segmentation: a query may hold none of its classes.
# Few-shot segmentation: it always holds that of the first way.
PROTOCOLS = ('FS-CS', 'FS-S')
