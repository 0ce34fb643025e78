"""A transfer agent of git-lfs: plain `git lfs push` and `git lfs pull` against a store, with no git-lfs server.

git-lfs starts it and talks in lines of JSON (its docs/custom-transfers.md). A store keeps the files of git-lfs as it
keeps those of runs: by sha256, in chunks that are shared. What it gives is put together, verified, and handed over in a
file that git-lfs moves to its place. Which commits need a file is not known here, so `gc --store` removes none of them.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from gittrack import errors
from gittrack.git.repository import Repository
from gittrack.git.scratch import Scratch, scratch
from gittrack.runs import stores
from gittrack.runs.lfs_files import NEEDED_BY
from gittrack.store import leases
from gittrack.store.content import Content, Progress

if TYPE_CHECKING:
    from gittrack.config.settings import Settings

FAILED = 1  # the code of an error that is none of ours
Say = Callable[[Mapping[str, Any]], None]


def serve(repo: Repository, settings: "Settings", lines: Iterable[bytes], out: BinaryIO) -> None:
    """Answer git-lfs until it says `terminate`, or goes."""

    def say(message: Mapping[str, Any]) -> None:
        out.write(json.dumps(message).encode() + b"\n")
        out.flush()

    with scratch(repo.paths.common_dir, "agent") as work:
        agent: _Agent | None = None
        for line in lines:
            request = json.loads(line)
            if request["event"] == "terminate":
                return
            if request["event"] == "init":
                try:
                    agent = _Agent(repo, settings, work, say)
                    say({})
                except errors.GittrackError as error:
                    say({"error": _said(error)})
            elif agent is not None:
                agent.transfer(request)


class _Agent:
    """The stores, opened once for all files of a transfer."""

    def __init__(self, repo: Repository, settings: "Settings", work: Scratch, say: Say) -> None:
        self._repo = repo
        self._work = work
        self._say = say
        self._targets: Sequence[Content] = stores.opened(repo, settings)
        if not self._targets:
            raise errors.BadConfig(
                "no store is set that files of git-lfs could go to",
                "set one: `store: s3://…` (or gs://, az://, file://) in gittrack.yaml, or git config track.store",
            )
        self._claimed = False

    def transfer(self, request: Mapping[str, Any]) -> None:
        """Move one file, and say so. An error is that of this file: the others go on."""
        oid, size = request["oid"], request["size"]
        done: dict[str, Any] = {"event": "complete", "oid": oid}
        try:
            if request["event"] == "upload":
                self._upload(oid, size, request["path"])
            else:
                done["path"] = self._download(oid, size)
        except (errors.GittrackError, OSError) as error:
            done = {"event": "complete", "oid": oid, "error": _said(error)}
        self._say(done)

    def _upload(self, oid: str, size: int, path: str) -> None:
        if not self._claimed:
            for content in self._targets:
                stores.claim(self._repo, content.store)
            self._claimed = True
        count = _Count(self._say, oid, size * len(self._targets), len(self._targets))
        for content in self._targets:
            _put(content, oid, size, path, count)
            leases.announce(content.store, NEEDED_BY, content.objects(oid, size))
            _put(content, oid, size, path)  # what was swept before anybody knew that it is needed; mostly nothing

    def _download(self, oid: str, size: int) -> str:
        path = os.path.join(self._work.path, oid)
        local = stores.local(self._repo)
        source = local if local.has(oid, size) else stores.together(self._targets)
        source.copy_to(oid, size, path, progress=_Count(self._say, oid, size, 1))
        return path


def _put(content: Content, oid: str, size: int, path: str, count: Progress | None = None) -> None:
    if content.has(oid, size):
        return count(size) if count else None
    kept = content.put_file(path, count)
    if (kept.sha256, kept.size) != (oid, size):
        raise errors.CorruptContent(f"{path} is not the file that git-lfs calls {oid}", "run: git lfs fsck")
    return None


class _Count:
    """Tells git-lfs how far a file is. What goes to several stores counts in parts."""

    def __init__(self, say: Say, oid: str, total: int, parts: int) -> None:
        self._say = say
        self._oid = oid
        self._total = total
        self._parts = parts
        self._done = 0
        self._told = 0

    def __call__(self, size: int) -> None:
        self._done = min(self._done + size, self._total)
        now = self._done // self._parts
        self._say({"event": "progress", "oid": self._oid, "bytesSoFar": now, "bytesSinceLast": now - self._told})
        self._told = now


def _said(error: BaseException) -> dict[str, Any]:
    if isinstance(error, errors.GittrackError):
        return {"code": error.exit_code, "message": f"{error.message} ({error.hint})" if error.hint else error.message}
    return {"code": FAILED, "message": str(error)}
