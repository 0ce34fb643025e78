"""Heavy libraries wait behind doors; this opens one. The only use of importlib in the package.

`import gittrack` and `git track --help` must load none of pandas, torch, docker, fabric or pygit2: a module that
uses one imports it at its top and is itself reached through `lazy`.
"""

import importlib
from types import ModuleType


def lazy(name: str) -> ModuleType:
    """Import and return module `name` (absolute, for example "gittrack.compare.frame")."""
    return importlib.import_module(name)  # noqa: TID251
