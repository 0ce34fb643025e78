"""`python -m gittrack` is `git track`, for where the script is not on PATH."""

from gittrack.cli.main import main

main()
