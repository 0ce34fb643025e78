"""With which git remote runs are shared, and what was seen there last.

What was seen is a note of this clone by the address of the remote (`network.url`), `track/remotes/<digest>.json`, and
never refs: what a remote says costs the user's own git nothing. Losing a note costs one comparison of all refs.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import loose
from gittrack.git.command import Git, config
from gittrack.git.discover import Paths
from gittrack.git.lfs import shown

SETTING = "track.remote"
_FOLDER = "remotes"


class Seen(NamedTuple):
    """What a remote had when it was asked last."""

    url: str
    refs: Mapping[str, str]
    w: float
    refused: Mapping[str, str] = {}  # ref -> the oid at which it was not taken: that is said once
    stamp: str = ""  # of the refs here, when nothing of `refs` was left to be taken
    lost: Mapping[str, str] = {}  # what it had and is here, and somebody took away there


def choose(git: Git, given: str | None = None) -> str:
    """The remote that is meant: `given` (a name or a URL), or that of the settings, or the one git itself would use.

    Raises UsageError where there is none, or no telling which.
    """
    settings = config(git)
    chosen = given or settings.get(SETTING) or _of_git(git, settings)
    if not chosen:
        names = ", ".join(_names(settings))
        if not names:
            raise errors.UsageError(
                "this repository has no git remote",
                "git track remote URL says where runs go; git track export needs none",
            )
        raise errors.UsageError(
            f"there is no telling which remote holds the runs (remotes here: {names})",
            "git track remote NAME says which one; or name it in this call",
        )
    if chosen.startswith("-"):
        raise errors.UsageError(f"{chosen} cannot be a remote", "git remote -v lists those that are there")
    return chosen


def meant(git: Git) -> str | None:
    """The remote that is meant where none is named; None where there is none, or no telling which."""
    settings = config(git)
    return settings.get(SETTING) or _of_git(git, settings)


def is_known(git: Git, name: str) -> bool:
    """Whether git has a remote of that name."""
    return f"remote.{name}.url" in config(git)


def load(paths: Paths, url: str) -> Seen | None:
    """What was seen at `url`; None where nothing was, or the note does not read."""
    found = _read(_path(paths, url))
    return found._replace(url=url) if found else None


def save(paths: Paths, seen: Seen) -> None:
    """Keep what was seen; a password of the address is not kept. Raises CannotWrite."""
    path = _path(paths, seen.url)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump(seen._asdict() | {"url": shown(seen.url)}, file, separators=(",", ":"))
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise loose.cannot_write(error, path) from error


def note_refs(paths: Paths, url: str, moved: Mapping[str, str | None]) -> None:
    """Say that refs of the remote have moved (None: are gone), for whoever moved them. Raises CannotWrite."""
    known = load(paths, url) or Seen(url, {}, 0.0)
    refs = {**known.refs, **{ref: oid for ref, oid in moved.items() if oid}}
    kept = {ref: oid for ref, oid in refs.items() if ref not in moved or moved[ref]}
    gone = {ref: oid for ref, oid in known.lost.items() if ref not in moved}
    save(paths, known._replace(refs=kept, w=time.time(), stamp="", lost=gone))


def every(paths: Paths) -> dict[str, Seen]:
    """What is known of each remote, by the digest of its address; addresses as they may be shown."""
    folder = os.path.join(paths.common_dir, "track", _FOLDER)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
        found = {name.removesuffix(".json"): _read(os.path.join(folder, name)) for name in names}
        return {name: seen for name, seen in found.items() if seen}
    return {}


def lost(seen: Seen | None, there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, str]:
    """Of what was seen, that which is here as it was there, and gone there."""
    known = {**seen.lost, **seen.refs} if seen else {}
    missing = {ref: oid for ref, oid in known.items() if ref not in there and here.get(ref) == oid}
    return {ref: oid for ref, oid in missing.items() if ref.startswith((layout.RUNS, layout.LOG, layout.ARCHIVE))}


def named(git: Git) -> list[str]:
    """The remotes that may have runs, the likeliest first."""
    settings = config(git)
    likely = [settings.get(SETTING), _of_git(git, settings), *_names(settings)]
    return list(dict.fromkeys(name for name in likely if name and not name.startswith("-")))


def digest(url: str) -> str:
    """What a remote goes by below refs/track-remotes/ and in `track/remotes`."""
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _names(settings: Mapping[str, str]) -> list[str]:
    return sorted({key[7:-4] for key in settings if key.startswith("remote.") and key.endswith(".url")})


def _of_git(git: Git, settings: Mapping[str, str]) -> str | None:
    names = _names(settings)
    branch = git.call("symbolic-ref", "--quiet", "--short", "HEAD").out.decode("utf-8", "replace").strip()
    chosen = settings.get(f"branch.{branch}.remote", "origin")
    if chosen in names:
        return chosen
    return names[0] if len(names) == 1 else None


def _path(paths: Paths, url: str) -> str:
    return os.path.join(paths.common_dir, "track", _FOLDER, f"{digest(url)}.json")


def _read(path: str) -> Seen | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found: Any = json.load(file)
        known = {name: found[name] for name in Seen._fields if name in found}
        seen = Seen(**{**known, "w": float(found["w"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    texts = isinstance(seen.url, str) and isinstance(seen.stamp, str)
    return seen if texts and all(isinstance(each, dict) for each in (seen.refs, seen.refused, seen.lost)) else None
