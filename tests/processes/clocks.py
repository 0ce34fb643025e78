"""Wrong clocks for programs: libfaketime, preloaded by its path.

Its wrapper, `faketime`, is not used: it fails where a process that was killed, with the number that it has now, has
left its semaphore. The library leaves the same behind in each process that is killed, and lives with what it finds.
"""

import atexit
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Clock = Callable[[str], dict[str, str]]
_LIBRARY = "faketime/libfaketime.so.1"
_SHARED = Path("/dev/shm")
_LEFT = re.compile(r"(?:sem\.faketime_sem|faketime_shm)_(\d+)")


@contextlib.contextmanager
def clocks() -> Iterator[Clock]:
    """`clock("-3h")` is the environment of processes whose clock is slow by three hours. What they left behind goes at
    the end. The test is skipped where there is no libfaketime."""
    if not any(found for lib in ("lib*", "lib/*") for found in Path("/usr").glob(f"{lib}/{_LIBRARY}")):
        pytest.skip("not installed: faketime (scripts/system-packages)")
    atexit.register(_forget_the_dead)  # some processes end after their test
    _forget_the_dead()
    try:
        # The linker knows $LIB. Waiting has to do with no clock that may be wrong.
        yield lambda shift: {
            "LD_PRELOAD": f"/usr/$LIB/{_LIBRARY}", "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"
        }  # fmt: skip
    finally:
        _forget_the_dead()


def _forget_the_dead() -> None:
    """Remove what processes that are gone have left, those of earlier tests too."""
    for path in sorted(_SHARED.iterdir()):  # the memory before its semaphore: alone, that harms nobody
        found = _LEFT.fullmatch(path.name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            with contextlib.suppress(OSError):  # another session did, or it is another user's
                path.unlink()
