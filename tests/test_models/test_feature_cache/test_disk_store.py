"""DiskStore: bounded, whole or absent, shared, and never a reason to stop a run."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import pytest
import torch

from mmwsfs.models.feature_cache import DiskStore

MANY = 2**30


def key(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def entry(number: int, length: int = 200) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    return dict(
        tokens=torch.rand(3, length, generator=generator).half(),
        keys=torch.randint(-128, 127, (5, 7), generator=generator, dtype=torch.int8),
        grid=torch.tensor((number, 2)))


def assert_entry(found: dict | None, number: int, length: int = 200) -> None:
    assert found is not None
    wanted = entry(number, length)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


def files(folder: Path, suffix: str = '.features') -> list[Path]:
    return sorted(folder.rglob(f'*{suffix}'))


def last_used(folder: Path, number: int, moment: float) -> None:
    path, = folder.rglob(f'{key(number)}.features')
    os.utime(path, (moment, moment))


@pytest.fixture
def lines(monkeypatch) -> list[tuple[str, int]]:
    """What the store logs, with the level."""
    logged = []
    monkeypatch.setattr(
        'mmwsfs.models.feature_cache.disk_store.print_log',
        lambda line, logger, level=20: logged.append((line, level)))
    return logged


def test_another_process_finds_what_was_kept(tmp_path):
    """A second store of the folder, as of another run, gives the same tensors."""
    store = DiskStore(tmp_path / 'new/folder', MANY)
    assert store.get(key(1)) is None and key(1) not in store
    for number in range(3):
        store.put(key(number), entry(number))
    second = DiskStore(tmp_path / 'new/folder', MANY)
    for number in range(3):
        assert key(number) in second
        assert_entry(second.get(key(number)), number)
    assert second.get(key(3)) is None


def test_an_entry_is_memory_mapped(tmp_path):
    """Processes that read one entry share its pages: no copy is made of it."""
    store = DiskStore(tmp_path, MANY)
    store.put(key(1), entry(1))
    found = store.get(key(1))
    assert found is not None
    assert files(tmp_path)[0].name in Path('/proc/self/maps').read_text()
    files(tmp_path)[0].unlink()  # room is made while the entry is in use
    assert_entry(found, 1)


@pytest.mark.parametrize('damage', ['empty', 'short', 'foreign', 'other_key', 'pickle'])
def test_a_damaged_entry_is_found_and_computed_again(tmp_path, lines, damage):
    """It is gone after the first look, and can be kept anew."""
    DiskStore(tmp_path, MANY).put(key(1), entry(1))
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    if damage == 'empty':
        path.write_bytes(b'')
    elif damage == 'short':
        path.write_bytes(whole[:len(whole) // 2])
    elif damage == 'foreign':
        path.write_bytes(b'GIF89a' * 1000)
    elif damage == 'other_key':
        torch.save(dict(key=key(2), entry=entry(2)), path)
    else:
        torch.save(Path('/'), path)  # an object: it is not made
    store = DiskStore(tmp_path, MANY)
    assert store.get(key(1)) is None
    assert len(lines) == 1 and str(path) in lines[0][0] and 'damaged' in lines[0][0]
    assert not path.exists()
    store.put(key(1), entry(1))
    assert_entry(store.get(key(1)), 1)


def test_every_flipped_bit_is_harmless(tmp_path, lines):
    """Wherever a bit flips, the entry is as it was or is not given."""
    DiskStore(tmp_path, MANY).put(key(1), entry(1, length=40))
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    refused = 0
    places = [*range(0, len(whole), 17), whole.index(entry(1, 40)['tokens'].numpy()
                                                     .tobytes())]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged)
        found = DiskStore(tmp_path, MANY).get(key(1))
        if found is None:
            refused += 1
        else:
            assert_entry(found, 1, 40)
    assert found is None  # the last place is in the values
    assert refused > 20


def test_a_file_cut_after_its_first_use(tmp_path, lines):
    """The checksums are compared once, but a short file is found every time."""
    store = DiskStore(tmp_path, MANY)
    store.put(key(1), entry(1))
    assert_entry(store.get(key(1)), 1)
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-300])
    assert store.get(key(1)) is None and not path.exists()


def test_the_longest_unused_goes_first(tmp_path):
    """Room for three: the fourth drops the one that was read longest ago."""
    DiskStore(tmp_path, MANY).put(key(0), entry(0, 5000))
    size = files(tmp_path)[0].stat().st_size
    store = DiskStore(tmp_path, int(3.5 * size))
    for number in (1, 2):
        store.put(key(number), entry(number, 5000))
    for number in range(3):  # files of one moment have no order
        last_used(tmp_path, number, time.time() - 100 + number)
    assert_entry(store.get(key(0)), 0, 5000)
    store.put(key(3), entry(3, 5000))
    assert [key(number) in store for number in range(4)] == [True, False, True, True]
    for number in range(4, 20):
        store.put(key(number), entry(number, 5000))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 3.5 * size
    assert key(19) in store and len(files(tmp_path)) == 3
    last_used(tmp_path, 19, time.time() + 1)
    DiskStore(tmp_path, int(1.5 * size))  # another run is given less
    assert [path.stem for path in files(tmp_path)] == [key(19)]


def test_an_entry_larger_than_the_bound_is_not_kept(tmp_path, lines):
    """It costs the other entries their place at most, and no warning."""
    store = DiskStore(tmp_path, 4000)
    store.put(key(1), entry(1, 100000))
    assert store.get(key(1)) is None and not files(tmp_path, '')[1:]
    assert not lines


def test_two_writers_keep_the_bound(tmp_path):
    """Each looks again at what the other has written."""
    DiskStore(tmp_path, MANY).put(key(0), entry(0))
    size = files(tmp_path)[0].stat().st_size
    bound = 40 * size
    stores = [DiskStore(tmp_path, bound) for _ in range(2)]
    for number in range(1, 200):
        stores[number % 2].put(key(number), entry(number))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 1.05 * bound
    assert len(files(tmp_path)) >= 30


def test_files_of_others_are_left_alone(tmp_path):
    """A folder that holds other things: only the store's own files make room."""
    checkpoint = tmp_path / '00/epoch_1.pt'
    named_alike = tmp_path / '00/notes.features'
    for path in (checkpoint, named_alike):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'x' * 10000)
    store = DiskStore(tmp_path, 8000)
    for number in range(5):
        store.put(key(number), entry(number))
    assert_entry(store.get(key(4)), 4)
    assert checkpoint.stat().st_size == named_alike.stat().st_size == 10000


def test_parts_left_by_a_killed_process(tmp_path):
    """They are no entries; an hour later they are deleted, not before."""
    store = DiskStore(tmp_path, MANY)
    store.put(key(1), entry(1))
    folder = files(tmp_path)[0].parent
    parts = [folder / f'{key(1)}.{key(number)}.part' for number in range(2)]
    for part in parts:
        part.write_bytes(b'half')
    os.utime(parts[0], (time.time() - 4000, ) * 2)
    assert_entry(DiskStore(tmp_path, MANY).get(key(1)), 1)
    assert not parts[0].exists() and parts[1].exists()


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def torch_full(value, path):
    Path(path).write_bytes(b'half')
    raise RuntimeError('PytorchStreamWriter failed writing file data/0')


@pytest.mark.parametrize('name, error', [
    ('torch.save', full), ('torch.save', torch_full), ('os.replace', full)])
def test_a_full_disk_is_one_warning(tmp_path, monkeypatch, lines, name, error):
    """Nothing more is written and nothing half is left; what is there is read."""
    store = DiskStore(tmp_path, MANY)
    store.put(key(1), entry(1))
    monkeypatch.setattr(name, error)
    for number in (2, 3, 4):
        store.put(key(number), entry(number))
        assert store.get(key(number)) is None
    assert [level for _, level in lines] == [30]
    assert str(tmp_path) in lines[0][0] and 'cannot be written' in lines[0][0]
    assert store.capacity == 0
    monkeypatch.undo()
    assert_entry(store.get(key(1)), 1)
    assert len(files(tmp_path)) == 1 and not files(tmp_path, '.part')


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path, lines):
    """A file is where the folder should be."""
    (tmp_path / 'file').write_text('')
    store = DiskStore(tmp_path / 'file/folder', MANY)
    store.put(key(1), entry(1))
    assert store.get(key(1)) is None and key(1) not in store
    assert [level for _, level in lines] == [30]


def test_a_read_only_folder_is_read(tmp_path, monkeypatch, lines):
    """Somebody else's folder: its entries are used, and not taken for damaged."""
    DiskStore(tmp_path, MANY).put(key(1), entry(1))

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ('utime', 'replace', 'unlink', 'mkdir'):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(torch, 'save', refuse)
    store = DiskStore(tmp_path, MANY)
    assert_entry(store.get(key(1)), 1)
    for number in (2, 3):
        store.put(key(number), entry(number))
    assert_entry(store.get(key(1)), 1)
    assert len(lines) == 1 and 'cannot be written' in lines[0][0]


def test_a_folder_deleted_meanwhile(tmp_path, lines):
    """Someone frees the disk during a run: the store begins anew."""
    store = DiskStore(tmp_path / 'folder', MANY)
    store.put(key(1), entry(1))
    files(tmp_path)[0].unlink()
    for path in ((tmp_path / 'folder').iterdir()):
        path.rmdir()
    (tmp_path / 'folder').rmdir()
    assert store.get(key(1)) is None
    store.put(key(2), entry(2))
    assert_entry(store.get(key(2)), 2)
    assert not lines


def _fill(folder: Path, order: Iterable[int], delay: float) -> None:
    torch.set_num_threads(1)
    store = DiskStore(folder, MANY)
    for number in order:
        time.sleep(delay)
        if store.get(key(number)) is None:
            store.put(key(number), entry(number, 20000))


def test_three_writers_of_which_one_is_killed(tmp_path):
    """All entries are there and whole when the two others end.

    The one goes on for ever, so that it is at work when it is killed.
    """
    context = multiprocessing.get_context('fork')
    numbers = list(range(60))
    processes = [
        context.Process(target=_fill, args=(tmp_path, order, delay), daemon=True)
        for order, delay in (
            (numbers, 0.005), (numbers[::-1], 0.005), (cycle(numbers), 0.001))]
    for process in processes:
        process.start()
    deadline = time.monotonic() + 600
    while len(files(tmp_path)) < 15 and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(processes[2].pid, signal.SIGKILL)
    for process in processes:
        process.join(timeout=600)
    assert [process.exitcode for process in processes] == [0, 0, -signal.SIGKILL]
    store = DiskStore(tmp_path, MANY)
    for number in numbers:
        assert_entry(store.get(key(number)), number, 20000)
    assert len(files(tmp_path)) == len(numbers)


@pytest.mark.parametrize('moment', ['torch.save', 'os.replace'])
def test_killed_at_the_worst_moment(tmp_path, moment):
    """Killed with a half-written file, or before it is moved: no entry, no harm."""
    def child() -> None:
        torch.set_num_threads(1)
        name = moment.split('.')[1]
        module = torch if name == 'save' else os

        def die(*args) -> None:
            if name == 'save':
                Path(args[1]).write_bytes(b'half')
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, name, die)
        DiskStore(tmp_path, MANY).put(key(1), entry(1))

    process = multiprocessing.get_context('fork').Process(target=child)
    process.start()
    process.join(timeout=600)
    assert process.exitcode == -signal.SIGKILL
    assert len(files(tmp_path, '.part')) == 1 and not files(tmp_path)
    store = DiskStore(tmp_path, MANY)
    assert store.get(key(1)) is None
    store.put(key(1), entry(1))
    assert_entry(store.get(key(1)), 1)
