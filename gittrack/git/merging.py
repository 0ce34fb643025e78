"""Three-way merges that happen in objects alone: index, work tree and HEAD stay as they are until somebody says so.

git merges commits, and looks for what they have in common itself. So both sides get a commit of their own for the
moment, with the wanted base as the only parent: then that is what they have in common, however the history went on.
"""

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git import objects
from gittrack.git.command import Git, failure, version
from gittrack.git.repository import Repository
from gittrack.git.temporary_index import temporary_index

SINCE = (2, 38)  # git merge-tree --write-tree
NOTHING = "000000"  # mode of what is not there
SUBMODULE = "160000"
_WHO = "gittrack <>"


class Stage(NamedTuple):
    """One of the (up to three) versions of a file in conflict: 1 of the base, 2 of ours, 3 of theirs."""

    mode: str
    oid: str
    stage: int
    path: str


class Merged(NamedTuple):
    """`tree` has markers where there are conflicts; `messages` say what is in conflict, in git's words."""

    tree: str
    stages: tuple[Stage, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def conflicts(self) -> list[str]:
        return list(dict.fromkeys(one.path for one in self.stages))


class Change(NamedTuple):
    """A path in which two trees differ."""

    path: str
    old_mode: str
    new_mode: str
    old: str
    new: str


def empty_tree(repo: Repository) -> str:
    """The tree without files, which is always there once it was asked for."""
    tree = objects.nested({}, repo.algorithm)[-1]
    repo.write([tree])
    return tree.oid


def tree_of(git: Git, commit: str) -> str:
    return git.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").decode().strip()


def changes(git: Git, old: str, new: str) -> list[Change]:
    """Where two trees (or commits) differ; a rename is a file that went and one that came."""
    fields = iter(git.fields("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new, "--"))
    found = []
    for head in fields:
        old_mode, new_mode, old_oid, new_oid, _ = head.lstrip(":").split(" ")
        found.append(Change(next(fields), old_mode, new_mode, old_oid, new_oid))
    return found


def merge(repo: Repository, base: str | None, ours: str, theirs: str, labels: tuple[str, str]) -> Merged:
    """What `theirs` (a tree) changed since `base` (a commit), brought to `ours` (a tree).

    `labels` name both sides in the markers. Raises Unsupported where git is too old, GitFailed.
    """
    git = repo.git
    if version(git) < SINCE:
        raise errors.Unsupported(
            "this git cannot merge without a work tree",
            "upgrade git to 2.38 or later; `git track checkout` does without",
        )
    parents = [base] if base else []
    sides = [objects.commit(tree, parents, _WHO, at, "", repo.algorithm) for at, tree in enumerate((ours, theirs))]
    repo.write(sides)
    words = ("merge-tree", "--write-tree", "-z", *(() if base else ("--allow-unrelated-histories",)))
    done = git.call(*words, sides[0].oid, sides[1].oid)
    if done.code not in (0, 1):
        raise failure(words, done.code, done.err, git.paths)
    fields = os.fsdecode(done.out).split("\0")
    end = fields.index("", 1) if "" in fields[1:] else len(fields)
    stages = tuple(map(_stage, fields[1:end]))
    names = {side.oid: label for side, label in zip(sides, labels, strict=True)}
    merged = Merged(fields[0], stages, tuple(_messages(fields[end + 1 :], names)))
    return merged._replace(tree=_labelled(git, merged, names)) if stages else merged


def _stage(text: str) -> Stage:
    head, _, path = text.partition("\t")
    mode, oid, stage = head.split(" ")
    return Stage(mode, oid, int(stage), path)


def _messages(fields: Sequence[str], names: dict[str, str]) -> Iterable[str]:
    """What git says of conflicts: `<number of paths> <paths> <kind> <text>`, again and again."""
    at = 0
    while at < len(fields) and fields[at].isdigit():
        kind, text = at + 1 + int(fields[at]), at + 2 + int(fields[at])
        if text < len(fields) and fields[kind].startswith("CONFLICT"):
            said = fields[text].strip()
            for oid, label in names.items():
                said = said.replace(oid, label)
            yield said
        at = text + 1


def _labelled(git: Git, merged: Merged, names: dict[str, str]) -> str:
    """The tree with the markers named: git has only the commits to name the sides by."""
    every = changes(git, git.run("mktree", input=b"").decode().strip(), merged.tree)
    there = {change.path: change for change in every if change.new_mode != SUBMODULE}
    found = []
    pattern = re.compile(rb"^([<>]{7,}) (" + b"|".join(oid.encode() for oid in names) + rb")", re.MULTILINE)
    for path in merged.conflicts:
        change = there.get(path)
        if change is None:
            continue
        data = git.run("cat-file", "blob", change.new)
        named = pattern.sub(lambda match: match[1] + b" " + names[match[2].decode()].encode(), data)
        if named != data:
            oid = git.run("hash-object", "-w", "-t", "blob", "--stdin", input=named).decode().strip()
            found.append((change.new_mode, oid, path))
    if not found:
        return merged.tree
    with temporary_index(git) as index:
        index.run("read-tree", "--no-sparse-checkout", merged.tree)
        index.put(found)
        return index.write_tree()
