from mmwsfs.utils.quiet import quiet_imports

with quiet_imports():
    import mmseg.datasets  # noqa: F401  (prints on the way, and is needed in the end)

    from .few_shot_inferencer import FewShotInferencer
    from .init_model import init_model
    from .label_map import label_map
    from .support_set import SupportSet

__all__ = ['FewShotInferencer', 'SupportSet', 'init_model', 'label_map']
