"""prepare_launcher: what MMEngine needs of a config and of the environment."""
from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from mmwsfs.utils.launcher import prepare_launcher

STARTED = dict(
    pytorch=dict(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1'),
    slurm=dict(SLURM_PROCID='1', SLURM_NTASKS='2', SLURM_NODELIST='n1',
               SLURM_LOCALID='1'),
    mpi=dict(OMPI_COMM_WORLD_RANK='1', OMPI_COMM_WORLD_SIZE='2',
             OMPI_COMM_WORLD_LOCAL_RANK='1', OMPI_COMM_WORLD_LOCAL_SIZE='2'))
LOCAL_RANK = dict(
    pytorch='LOCAL_RANK', slurm='SLURM_LOCALID', mpi='OMPI_COMM_WORLD_LOCAL_RANK')


@pytest.fixture
def cfg() -> Config:
    return Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=9))))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Makes this a machine of so many GPUs."""
    def make(count: int) -> None:
        monkeypatch.setattr(
            'mmengine.device.get_device', lambda: 'cuda' if count else 'cpu')
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
    return make


@pytest.mark.parametrize('name', STARTED)
def test_without_gpus_processes_speak_gloo(cfg: Config, gpus, name: str) -> None:
    """Bound to no device, whatever the launcher; other settings stay."""
    gpus(0)
    cfg.model_wrapper_cfg = dict(find_unused_parameters=True, device_ids=[0])
    environ = dict(STARTED[name])
    prepare_launcher(cfg, name, environ)
    assert cfg.launcher == name
    assert cfg.env_cfg.dist_cfg == dict(backend='gloo', timeout=9)
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel', broadcast_buffers=False,
        find_unused_parameters=True, device_ids=None)
    assert environ[LOCAL_RANK[name]] == environ['LOCAL_RANK'] == '-1'


@pytest.mark.parametrize('name', STARTED)
def test_with_gpus_a_process_has_that_of_its_local_rank(
        cfg: Config, gpus, name: str) -> None:
    """MMEngine wraps the model on the GPU LOCAL_RANK, which mpirun does not set."""
    gpus(2)
    environ = dict(STARTED[name])
    prepare_launcher(cfg, name, environ)
    assert cfg.env_cfg.dist_cfg.backend == 'nccl' and 'model_wrapper_cfg' not in cfg
    assert environ[LOCAL_RANK[name]] == environ['LOCAL_RANK'] == '1'


@pytest.mark.parametrize('name', STARTED)
def test_more_processes_than_gpus_are_refused(cfg: Config, gpus, name: str) -> None:
    """CUDA would say 'invalid device ordinal'."""
    gpus(1)
    with pytest.raises(ValueError, match='process 1 .* it sees 1: .*--gpus-per-task'):
        prepare_launcher(cfg, name, dict(STARTED[name]))


@pytest.mark.parametrize('name', STARTED)
def test_a_process_that_nobody_started_is_refused(cfg: Config, name: str) -> None:
    """MMEngine would end in a KeyError."""
    first, *_ = STARTED[name]
    with pytest.raises(ValueError, match=f'--launcher {name} is for .*{first}, '):
        prepare_launcher(cfg, name, {})


def test_mpi_finds_the_first_process(cfg: Config, gpus) -> None:
    """Here, if all are here; else it has to be told."""
    gpus(0)
    environ = dict(STARTED['mpi'])
    prepare_launcher(cfg, 'mpi', environ)
    assert environ['MASTER_ADDR'] == '127.0.0.1'
    spread = dict(STARTED['mpi'], OMPI_COMM_WORLD_LOCAL_SIZE='1')
    with pytest.raises(ValueError, match='mpirun -x MASTER_ADDR=HOST'):
        prepare_launcher(cfg, 'mpi', dict(spread))
    environ = dict(spread, MASTER_ADDR='n1')
    prepare_launcher(cfg, 'mpi', environ)
    assert environ['MASTER_ADDR'] == 'n1'


def test_one_process_needs_nothing(cfg: Config) -> None:
    """Nothing but the launcher's name is set."""
    environ: dict[str, str] = {}
    prepare_launcher(cfg, 'none', environ)
    assert cfg.launcher == 'none' and cfg.env_cfg.dist_cfg.backend == 'nccl'
    assert environ == {}
