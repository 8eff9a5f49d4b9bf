from .disk_store import DiskStore
from .feature_cache import FeatureCache

__all__ = ['DiskStore', 'FeatureCache']
