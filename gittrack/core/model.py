"""A run's record as values, without the bytes it was read from."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Record(NamedTuple):
    """What a run's record says as of one commit, or as of now for a live run (`tip` None when nothing is committed)."""

    id: str
    tip: str | None
    facts: Mapping[str, Any]  # run.json
    status: Mapping[str, Any]  # status.json
    params: Mapping[str, Any]  # params.json: name -> {"source", "value"}
    summary: Mapping[str, Any]  # summary.json
    root: str | None = None  # what the rest can be read from: `tip`, or of an archived run the tree of that commit

    @property
    def archived(self) -> bool:
        """Whether no ref holds the run: its commits are data in an archive."""
        return self.root != self.tip


class Point(NamedTuple):
    """One value of a metric. `t`: seconds since its process's first event; `w`: seconds since the epoch."""

    step: int
    value: float
    t: float
    w: float
    rank: int
