"""Asking a host what it is like; `look` reads the answer."""

from collections.abc import Mapping
from typing import Any

from gittrack.launch import look as reading
from gittrack.launch.link import Link
from gittrack.launch.look import Look


def look(link: Link, info: Mapping[str, Any]) -> Look:
    """One command there. Raises LinkLost."""
    root = str(info.get("DockerRootDir") or "/")
    done = link.run([*reading.ARGV, root, "."], check=False)
    return reading.look(info, done.out)
