"""One file, handed over twice: by `torch.save`, and to a checkpoint right after. Pure.

To whoever reads a run it is the checkpoint's, and it is let go of with the checkpoint: else that would free nothing.
What is recorded stays as it was written.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

SAVED = "torch"  # kind of what torch.save wrote


class Content(NamedTuple):
    """What makes a file the same. A checkpoint may have been given it as `/tmp/model.pt`: the last name counts."""

    sha256: str
    name: str


class Kept(NamedTuple):
    """A file of a parcel."""

    parcel: str
    content: Content


def content(sha256: str, path: str) -> Content:
    return Content(sha256, path.rpartition("/")[2])


def of_checkpoints(files: Iterable[Kept], logged: Mapping[str, str]) -> dict[Content, set[str]]:
    """The checkpoints' parcels by what they hold. `logged`: parcel -> kind, of those that are no checkpoint's."""
    found: dict[Content, set[str]] = {}
    for file in files:
        if file.parcel not in logged:
            found.setdefault(file.content, set()).add(file.parcel)
    return found


def released(files: Collection[Kept], logged: Mapping[str, str], going: Collection[str]) -> set[str]:
    """`going`, and the parcels of `torch.save` whose every file is in checkpoints, all of which are in `going`."""
    if not going:
        return set()
    owners = of_checkpoints(files, logged)
    stay: set[str] = set()
    saved: set[str] = set()
    for file in files:
        if logged.get(file.parcel) == SAVED:
            theirs = owners.get(file.content, set())
            (saved if theirs and theirs.issubset(going) else stay).add(file.parcel)
    return {*going, *(saved - stay)}
