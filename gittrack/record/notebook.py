"""Which notebook this process is the kernel of."""

import os
import sys
from typing import Any

from gittrack.config import environment


def path() -> str | None:
    """The notebook's file, as far as its front end says it; None outside notebooks."""
    for told in (environment.current().get("JPY_SESSION_NAME"), _namespace().get("__vsc_ipynb_file__")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            return os.path.abspath(told)
    return None


def _namespace() -> dict[str, Any]:
    """The names of the interactive session, if IPython has been imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "user_ns", None) or {}
