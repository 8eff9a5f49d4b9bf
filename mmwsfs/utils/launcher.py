"""Several processes: what MMEngine's launchers need beside what their starter sets."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from mmengine.config import Config

# Of every launcher: what starts its processes, and the variables it sets in them.
STARTERS = {
    'pytorch': ('torchrun (tools/dist_train.sh, tools/dist_test.sh)',
                ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')),
    'slurm': ('srun (tools/slurm_train.sh, tools/slurm_test.sh)',
              ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST', 'SLURM_LOCALID')),
    'mpi': ("Open MPI's mpirun",
            ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
             'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_LOCAL_SIZE')),
}
LAUNCHERS = ('none', *STARTERS)


def prepare_launcher(cfg: Config, launcher: str,
                     environ: MutableMapping[str, str] = os.environ) -> None:
    """Make a config and the environment ready for MMEngine to start a launcher.

    On a machine without GPUs the processes speak gloo, and are bound to none. A
    ``model_wrapper_cfg`` of the config is kept. For MPI there is an address of the
    first process where all are on one machine.

    Args:
        cfg: changed in place.
        launcher: one of ``LAUNCHERS``.
        environ: of this process, changed in place.

    Raises:
        ValueError: nothing that belongs to the launcher started this process, there is
            no GPU for it, or the first process's address is not known.
    """
    cfg.launcher = launcher
    if launcher == 'none':
        return
    # Late, as a tool that prints its help needs the names of launchers alone.
    import torch
    from mmengine.device import get_device

    _check_starter(launcher, environ)
    local_rank = STARTERS[launcher][1][2 if launcher != 'slurm' else 3]
    if launcher == 'mpi':
        _find_first_process(environ)
    if get_device() == 'cpu':
        # MMEngine binds a process to the GPU of its local rank; -1 binds it to none.
        environ[local_rank] = '-1'
        cfg.merge_from_dict({
            'env_cfg.dist_cfg.backend': 'gloo',
            'model_wrapper_cfg': _wrapper_without_gpu(cfg)})
    elif int(environ[local_rank]) >= torch.cuda.device_count():
        raise ValueError(
            f'process {environ[local_rank]} of this machine has no GPU of its own, for '
            f'it sees {torch.cuda.device_count()}: start as many processes as there '
            'are GPUs, and let each of them see all (under Slurm --gres, not '
            '--gpus-per-task); or hide them by CUDA_VISIBLE_DEVICES= to run on CPUs')
    # MMEngine reads it as it wraps the model, also where it is told another's name.
    environ['LOCAL_RANK'] = environ[local_rank]


def _check_starter(launcher: str, environ: Mapping[str, str]) -> None:
    starter, names = STARTERS[launcher]
    missing = [name for name in names if name not in environ]
    if missing:
        raise ValueError(
            f"--launcher {launcher} is for a process that {starter} has started, but "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: "
            'start it so, or leave --launcher out for one process')


def _find_first_process(environ: MutableMapping[str, str]) -> None:
    """Set MASTER_ADDR, unless it is known, where it can be nowhere but here."""
    if 'MASTER_ADDR' in environ:
        return
    if environ['OMPI_COMM_WORLD_LOCAL_SIZE'] != environ['OMPI_COMM_WORLD_SIZE']:
        raise ValueError(
            'the processes are on several machines, and do not know where the first '
            'one is: mpirun -x MASTER_ADDR=HOST ..., with the name of its machine')
    environ['MASTER_ADDR'] = '127.0.0.1'


def _wrapper_without_gpu(cfg: Config) -> dict:
    """As MMEngine wraps a model that the config says nothing of, but on no device."""
    default = dict(
        type='MMDistributedDataParallel', broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    return {**default, **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None}
