"""The environment variables that gittrack reads, and the one place where the package reads them.

The recorder, which runs in other people's interpreters, reads its own (GITTRACK_RUN_ID and the like) itself.
"""

import os
from collections.abc import Mapping

from gittrack.config.keys import KEYS

# Not settings: they say where a run is, or are meant for one call. Documented in docs/configuration.md.
OTHERS = {
    "GITTRACK_RUN_ID": "Set for the command: the id of its run.",
    "GITTRACK_RUN_DIR": "Set for the command: the folder of its journal.",
    "GITTRACK_RESUME": "Set for the command by `--resume`: the id of the run to go on from, or `id@step`.",
    "GITTRACK_STRICT": "1: the recorder raises instead of warning once. For tests.",
}


def current() -> dict[str, str]:
    """A copy of the environment as it is now."""
    return dict(os.environ)


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Values of settings that are set in the environment, by the setting's name. An empty variable is not set."""
    return {key.name: environ[key.variable] for key in KEYS if environ.get(key.variable)}
