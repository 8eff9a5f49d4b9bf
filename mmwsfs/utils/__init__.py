"""Small helpers that stand beside the models."""
