"""Asking a host what it is like; `look` reads the answer."""

import time
from collections.abc import Mapping
from typing import Any

from gittrack.launch import look as reading
from gittrack.launch.link import Link
from gittrack.launch.look import Look


def look(link: Link, info: Mapping[str, Any]) -> Look:
    """One command there. Raises LinkLost."""
    root = str(info.get("DockerRootDir") or "/")
    before = time.time()
    done = link.run([*reading.ARGV, root, "."], check=False)
    found = reading.look(info, done.out)
    if found.clock is None:
        return found
    return found._replace(ahead=found.clock + 0.5 - (before + time.time()) / 2)  # it says whole seconds
