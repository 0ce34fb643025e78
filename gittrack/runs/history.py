"""What was said about one run: by whom, when, what of it was taken back, and what vouches for who it was.

A log says who wrote it, and anybody can write that. A signature of the commit that brought an operation into its log
is what vouches for it; without one, who said it is a claim. Nothing but `git track log RUN` looks at signatures.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from gittrack.core import annotations
from gittrack.core.annotations import Op
from gittrack.git import signing
from gittrack.git.repository import Repository
from gittrack.git.signing import Signature
from gittrack.runs import logs, segments


class Entry(NamedTuple):
    """An operation, whether it was taken back, the log's commit that brought it, and what vouches for its author."""

    op: Op
    undone: bool
    commit: str
    signature: Signature


def of_run(repo: Repository, run_id: str, undone: bool = False, number: int | None = None) -> list[Entry]:
    """What was said about a run, in order; with `undone` also what was taken back, and what took it back. Of more than
    `number` the last ones. Raises DamagedRecord, NewerFormat."""
    said = [op for op in logs.operations(repo) if op.run == run_id]
    counting = annotations.standing(said)
    shown = annotations.ordered(said) if undone else counting
    shown = shown if number is None else shown[max(0, len(shown) - number) :]
    commits = _commits(repo, shown)
    signatures = _signatures(repo, list(dict.fromkeys(commits.values())))
    stands = {op.id for op in counting} | annotations.undoing(said)
    return [Entry(op, op.id not in stands, commits[op.id], signatures[commits[op.id]]) for op in shown]


def _commits(repo: Repository, ops: Sequence[Op]) -> dict[str, str]:
    """Op id -> the commit that brought it: the first one whose log is long enough."""
    found: dict[str, str] = {}
    tips = logs.tips(repo)
    for writer in {op.writer for op in ops}:
        chain = repo.git.lines("rev-list", "--reverse", "--first-parent", tips[writer], "--")
        counted = _Lines(repo)
        for op in ops:
            if op.writer == writer:
                at = bisect_left(chain, op.place + 1, hi=len(chain) - 1, key=counted.of)
                found[op.id] = chain[at]
    return found


class _Lines:
    """How many lines the log has as of a commit. Segments that are closed do not change: each is counted once."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._of_blob: dict[str, int] = {}

    def of(self, commit: str) -> int:
        total = 0
        for oid in segments.oids(self._repo, commit, logs.ROOT).values():
            if oid not in self._of_blob:
                self._of_blob[oid] = self._repo.read(oid)[1].count(b"\n")
            total += self._of_blob[oid]
        return total


def _signatures(repo: Repository, commits: Sequence[str]) -> dict[str, Signature]:
    """Only those that have one are given to git: it starts a program for each."""
    signed = [commit for commit in commits if signing.is_signed(repo.read(commit)[1])]
    found = signing.signatures(repo.git, signed)
    unknown = Signature(signing.UNKNOWN)  # git has no way to check it here, and says that there is none
    told = {commit: one if one.state != signing.CLAIMED else unknown for commit, one in found.items()}
    return {**dict.fromkeys(commits, Signature()), **told}
