"""Who is told that something is being fetched: the command line says so to the user, a library says nothing.

Fetching happens deep below the command that caused it, when a record turns out not to be here. Kept apart from
`fetching`, so that saying who listens loads nothing.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[str, int, int], None]  # what git is at, how many of how many
Teller = Callable[[str], AbstractContextManager[Progress | None]]  # told what is fetched, and from where

_tellers: list[Teller] = []


def listen(teller: Teller) -> None:
    """Tell `teller` from now on, and nobody else."""
    _tellers[:] = [teller]


def telling(what: str) -> AbstractContextManager[Progress | None]:
    """`with telling("run 7c21f from origin") as progress: …`."""
    return _tellers[0](what) if _tellers else contextlib.nullcontext()
