"""How a container starts the attendant, and where it finds things there. For who makes containers, too."""

from __future__ import annotations

JOB, WORK, ZIP = "/gittrack/job", "/work", "/gittrack/attendant.zip"
RUNS = "/gittrack/runs"  # in an image of a run: what its containers record
BUSY = 75  # another process has the job: try again later
NO_PYTHON = 127  # the exit code where the image has none that would do; then there is no journal either

_NAMES = ("python3", "python", *(f"python3.{minor}" for minor in range(14, 8, -1)))
_SAYS = (
    "gittrack: this image has no Python 3.9 or later (python3, python): "
    "install one in it, or choose another image; any `python:3` image will do"
)
# A fixed text for every image, which nothing is ever put into. -I -S: neither the image's variables nor its packages
# have a say in our own process. Python 2 knows -E and -S, and fails the comparison.
# No trap: a signal that comes now is passed over by the kernel, and the attendant finds `stop` and records that.
_FIND = (
    f"for python in {' '.join(_NAMES)}; do "
    '"$python" -E -S -c "import sys; sys.exit(sys.version_info < (3, 9))" 2>/dev/null && exec "$python" -I -S '
)
SCRIPT = _FIND + f'"$@"; done; echo "{_SAYS.replace("`", "")}" >&2; exit {NO_PYTHON}'
ENTRYPOINT = ("/bin/sh", "-c", SCRIPT, "sh", ZIP)  # what follows are the attendant's arguments; none: run the job
# That of an image which executes a run again; what follows is the command. Without a Python nobody records that.
AGAIN = ("/bin/sh", "-c", f'{_FIND}{ZIP} again "$@"; done; exec "$@"', "sh")
