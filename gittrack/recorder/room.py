"""Back-pressure: parcels are made faster than they are stored only up to a bound, so that a disk does not fill.

Waiting blocks the training, so it ends: as soon as there is room, or when nothing has moved for a while. A storer that
is dead costs that time once, not at every checkpoint.
"""

from __future__ import annotations

import os
from time import monotonic, sleep

from .files import is_locked
from .parcels import FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEAST = 2 << 30  # bytes of waiting parcels that are always fine
SHARE = 0.25  # of the free space
PATIENCE = 60.0  # seconds without progress, while somebody keeps the run
ALONE = 10.0  # and when nobody does
_POLL = 0.1
_TWENTIETH = 20  # of the time at most goes into looking at what waits: it may be thousands of small parcels
_LONGEST = 1.0  # seconds without a look
_QUICK = 0.001  # seconds of a look that need not be saved
_PROGRESS = "progress"  # the storer's, in the folder of parcels: see record/waiting.py

_sizes: dict[str, int] = {}  # of whole parcels, which do not change
_ample: dict[str, float] = {}  # by run: until when there is room, since there was twice as much when we looked
_stuck: dict[str, Any] = {}  # by run: how things stood when waiting was given up


def wait(run_dir: str) -> bool:
    """Wait until there is room for another parcel; False when there is none and nothing moves."""
    if monotonic() < _ample.get(run_dir, 0.0):
        return True
    if _has_room(run_dir):
        _stuck.pop(run_dir, None)
        return True
    seen, since = _standing(run_dir), monotonic()
    if _stuck.get(run_dir) == seen:
        return False
    while True:
        sleep(_POLL)
        if _has_room(run_dir):
            return True
        now = _standing(run_dir)
        if now != seen:
            seen, since = now, monotonic()
        elif monotonic() - since > _patience(run_dir):
            _stuck[run_dir] = seen
            return False


def _patience(run_dir: str) -> float:
    return PATIENCE if is_locked(os.path.join(run_dir, "lock")) else ALONE


def _has_room(run_dir: str) -> bool:
    """Whether what waits is within the bound. A first parcel is always let in."""
    begin = monotonic()
    waiting = _waiting(run_dir)
    if waiting <= LEAST:
        now = monotonic()
        if waiting <= LEAST // 2 and now - begin > _QUICK:
            _ample[run_dir] = now + min(_TWENTIETH * (now - begin), _LONGEST)
        return True
    space = os.statvfs(run_dir)
    return waiting <= space.f_bavail * space.f_frsize * SHARE


def _waiting(run_dir: str) -> int:
    home = os.path.join(run_dir, FOLDER)
    names = [name for name in _listed(home) if not name.endswith(".new")]
    for gone in {path for path in [*_sizes] if path.startswith(home)}.difference(home + "/" + name for name in names):
        _sizes.pop(gone, None)
    for path in [home + "/" + name for name in names]:
        if path not in _sizes:
            _sizes[path] = _size(path)
    return sum([_sizes.get(home + "/" + name, 0) for name in names])


def _size(folder: str) -> int:
    size = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                size += os.lstat(os.path.join(root, name)).st_size
            except OSError:  # stored and removed by now
                pass
    return size


def _standing(run_dir: str) -> object:
    """Something that changes while a storer works: parcels go, chunks arrive in the store, it says how far it is."""
    home = os.path.join(run_dir, FOLDER)
    store = os.path.join(os.path.dirname(os.path.dirname(run_dir)), "objects", "chunks")
    places = [home, os.path.join(run_dir, "blobs"), *[os.path.join(store, name) for name in _listed(store)]]
    parcels = [name for name in _listed(home) if name != _PROGRESS]
    return sorted(parcels), [_touched(place) for place in places], _said(os.path.join(home, _PROGRESS))


def _said(path: str) -> bytes:
    """What a storer says while it reads what is in the store already. One that has failed says more at each new try."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return b""
    return text if b'"error": ""' in text else b""


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _touched(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
