"""How long one waits for a process at a host that should answer at once.

The connection may live while a disk or a network file system there is stuck: sshd answers, and the process never does.
Only what is small is asked with a limit, and each byte that comes begins it anew. Transfers and jobs take their time.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from gittrack import errors
from gittrack.launch.link.protocol import Channel

ANSWER = 120.0  # seconds; a machine under load answers within a few


class Patience:
    """`moved` is to be called for whatever comes."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self._channel, self._seconds = channel, seconds
        self._last = time.monotonic()
        self._over = False
        self._timer = self._set(seconds)
        self.late = False

    def moved(self) -> None:
        self._last = time.monotonic()

    def end(self) -> None:
        self._over = True
        self._timer.cancel()

    def _set(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._look)
        timer.daemon = True
        timer.start()
        return timer

    def _look(self) -> None:
        left = self._last + self._seconds - time.monotonic()
        if self._over:
            return
        if left > 0:
            self._timer = self._set(left)
            return
        self.late = True
        self._channel.close()


@contextlib.contextmanager
def within(seconds: float | None, channel: Channel, host: str, what: str) -> Iterator[Patience | None]:
    """Raises HostFailed when nothing came of the process for so long."""
    if seconds is None:
        yield None
        return
    patience = Patience(channel, seconds)
    try:
        yield patience
    except (errors.HostFailed, OSError) as error:
        if patience.late:
            raise _timeout(host, what, seconds) from error
        raise
    finally:
        patience.end()
    if patience.late:
        raise _timeout(host, what, seconds)


def _timeout(host: str, what: str, seconds: float) -> errors.HostFailed:
    return errors.HostFailed(
        f"{host}: no answer to {what[:200]} within {seconds:g} s, though the connection is alive",
        "a disk, a network file system or a driver may be stuck there: look (df, nvidia-smi, dmesg), then try again",
        "timeout",
    )
