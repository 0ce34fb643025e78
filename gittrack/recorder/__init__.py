"""What lives in the training process: the journal writer and the hooks. Standard library only, Python >= 3.9.

The bootstrap of `git track run` loads these modules under a private name, because a program that it does not know may
have a `gittrack` of its own. When the program then imports this very package, it gets the modules that are there
already, so that the hooks and `gittrack.init` write to one journal.
"""

import os
import sys

VERSION = "0.1.0"
ALIAS = "_gittrack_recorder"


def _adopt() -> None:
    loaded = sys.modules.get(ALIAS)
    if loaded is None or __name__ == ALIAS or not _same(loaded.__path__[0], __path__[0]):
        return
    for name, module in list(sys.modules.items()):
        if name.startswith(ALIAS + "."):
            sys.modules[__name__ + name[len(ALIAS) :]] = module


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


_adopt()
