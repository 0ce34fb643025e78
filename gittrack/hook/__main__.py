"""`python -m gittrack.hook NAME ARGS...` is `git-track-hook NAME ARGS...`, for where the script is not on PATH."""

from gittrack.hook.main import main

main()
