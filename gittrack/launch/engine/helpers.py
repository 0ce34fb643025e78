"""Containers of ours that run one short program, and that nobody removed since who made them was killed."""

from gittrack.launch.engine.containers import LABEL
from gittrack.launch.engine.engine import Engine
from gittrack.launch.engine.state import Container, listed


def helpers(engine: Engine) -> list[Container]:
    """All that are there, everybody's, in use or not. Raises HostFailed, LinkLost."""
    with engine.asking("listing containers"):
        return listed(engine.api.containers(all=True, filters={"label": f"{LABEL}.helper"}))
