"""What episodes and training steps cost: the parts of ``benchmark.py``."""
