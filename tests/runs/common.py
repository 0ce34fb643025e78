"""What tests of several folders need."""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRACK = str(Path(sys.executable).parent / "git-track")


def noise(seed: int, size: int = 100_000) -> bytes:
    """Bytes that do not compress, and resemble those of no other seed."""
    return random.Random(seed).randbytes(size)


def wait_until(what: Callable[[], Any], seconds: float = 120) -> Any:
    """What `what` gives, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")
