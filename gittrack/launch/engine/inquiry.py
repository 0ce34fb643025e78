"""Asking a host what it is like; `host_facts` reads the answer."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from gittrack.launch.engine import host_facts
from gittrack.launch.engine.host_facts import Look
from gittrack.launch.link import patience
from gittrack.launch.link.protocol import Link

_MOST = 1 << 20  # bytes of an answer


class Inquiry:
    """One command there, which has begun. Raises HostFailed, LinkLost."""

    def __init__(self, link: Link) -> None:
        self._name = link.name
        self._channel = link.open(host_facts.ARGV)

    def look(self, info: Mapping[str, Any]) -> Look:
        """Its answer, and that of the engine. Once."""
        root = str(info.get("DockerRootDir") or "/").partition("\n")[0]
        with (
            contextlib.closing(self._channel) as channel,
            patience.within(patience.ANSWER, channel, self._name, "what the host is like") as waiting,
        ):
            before = time.time()
            with contextlib.suppress(BrokenPipeError):  # a shell that ended early has said what it could
                channel.write(root.encode("utf-8", "replace") + b"\n")
            channel.end_input()
            answer = b""
            while len(answer) < _MOST and (data := channel.read(_MOST)):
                answer += data
                if waiting:
                    waiting.moved()
        found = host_facts.look(info, answer)
        if found.clock is None:
            return found
        return found._replace(ahead=found.clock + 0.5 - (before + time.time()) / 2)  # it says whole seconds
