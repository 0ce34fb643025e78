"""Asking a host what it is like; `host_facts` reads the answer."""

import time
from collections.abc import Mapping
from typing import Any

from gittrack.launch.engine import host_facts
from gittrack.launch.engine.host_facts import Look
from gittrack.launch.link.protocol import Link


def look(link: Link, info: Mapping[str, Any]) -> Look:
    """One command there. Raises LinkLost."""
    root = str(info.get("DockerRootDir") or "/")
    before = time.time()
    done = link.run([*host_facts.ARGV, root, "."], check=False)
    found = host_facts.look(info, done.out)
    if found.clock is None:
        return found
    return found._replace(ahead=found.clock + 0.5 - (before + time.time()) / 2)  # it says whole seconds
