"""One Ctrl-C is one interrupt.

As a command of git's we get what the terminal sends twice: git has it too, and passes it on to us. The second one would
answer the question that the first one asked, or break off the tidying up after it.
"""

import contextlib
import signal
import time

ECHO = 0.2  # seconds; git passes it on at once, but a busy machine may be late with that


def once_each() -> None:
    """Take an interrupt that follows another one at once for the same."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # ignored (nohup), or somebody else's
    last = -ECHO

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= ECHO:
            raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # not the main thread, which alone is interrupted
        signal.signal(signal.SIGINT, interrupt)
