default_scope = 'mmwsfs'
scope = 'mmwsfs'  # the name by which mmseg's get_flops.py asks for it
custom_imports = dict(imports=['mmwsfs'], allow_failed_imports=False)
runner_type = 'mmwsfs.TrainingRunner'  # of mmseg's tools/train.py; ours take it
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)
visualizer = dict(
    type='EpisodeVisualizer',
    name='visualizer',
    vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
