"""What `python3 attendant.zip` runs. Old Pythons come as far as the first lines, which must parse there."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 - whoever starts it by hand
    sys.stderr.write("gittrack: this needs Python 3.9 or later; here is " + sys.version.split()[0] + "\n")
    sys.exit(127)

import signal

# What comes while the rest is loaded waits: the first process of a container is not told of signals it has no use for.
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT))

from gittrack.attendant.main import main  # noqa: E402

main()
