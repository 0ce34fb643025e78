"""A run's uncommitted changes as an ordinary commit on the current branch: by `git commit`, with hooks and signing.

Only the run's change is committed, merged with what HEAD has got since. It is made in an index of its own, so what the
user has staged stays staged and is not in the commit. Afterwards files and index entries that were as HEAD had them
follow, as they would by `git switch`; files that he has changed stay as they are.
"""

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core.model import Record
from gittrack.git import export, merging
from gittrack.git.command import Git, failure
from gittrack.git.merging import NOTHING, SUBMODULE, Change
from gittrack.git.repository import Repository
from gittrack.git.status import operation
from gittrack.git.temporary_index import TemporaryIndex, temporary_index
from gittrack.runs import checkout_plan, code, links, operations, placing
from gittrack.runs.annotations import Author
from gittrack.runs.applying import tidy
from gittrack.runs.code import Code

_SUBJECT = 72  # characters that `git log --oneline` shows whole on most terminals


class Promoting(NamedTuple):
    """What would be committed. `follow` are the files that come into the work tree, `stay` those that the user has
    changed; `staged` the index entries that are to be as in the new commit, `sparse` those that have no file."""

    code: Code
    head: str | None
    branch: str | None
    tree: str
    changes: Sequence[Change]
    follow: Sequence[str] = ()
    stay: Sequence[str] = ()
    staged: Sequence[Change] = ()
    sparse: Sequence[str] = ()


def prepare(repo: Repository, record: Record) -> Promoting:
    """Merge; nothing is changed.

    Raises RunNotFound, GitFailed, UsageError, Conflicting, WouldOverwrite, Unsupported.
    """
    if repo.paths.worktree is None:
        raise errors.UsageError("this repository has no work tree", "`git track branch` makes a branch of the run")
    state = operation(repo.paths.git_dir)
    if state not in (None, "bisecting"):
        raise errors.UsageError(f"git is {state} here: a commit would belong to that", "finish it first, or abort it")
    found = code.of(repo, record)
    head, branch = _head(repo.git)
    before = merging.tree_of(repo.git, head) if head else merging.empty_tree(repo)
    if found.is_clean:
        return Promoting(found, head, branch, before, ())
    merged = code.merge(repo, found, before, "HEAD")
    if merged.stages:
        lines = checkout_plan.few(merged.messages or merged.conflicts)
        raise errors.Conflicting(
            f"nothing was committed: what run {found.short} had changed contradicts what HEAD has now:\n{lines}",
            f"git track apply {found.short} puts both versions into the work tree, to be resolved and committed",
        )
    changes = merging.changes(repo.git, before, merged.tree)
    plan = Promoting(found, head, branch, merged.tree, changes)
    return _compared(repo, plan) if changes else plan


def promote(repo: Repository, plan: Promoting, message: str, author: Author) -> tuple[str, list[str]]:
    """Commit, and let index and files follow. Returns the commit, and remarks.

    Raises GitFailed (also when a hook refuses) and RefConflict: then nothing was done; CannotWrite.
    """
    git = repo.git
    if _head(git) != (plan.head, plan.branch):
        raise errors.RefConflict("HEAD has moved meanwhile: nothing was committed", "run the command again")
    with temporary_index(git) as index:
        index.run("read-tree", "--no-sparse-checkout", plan.tree)
        made = _commit(git, index, plan, message)
    links.add(repo.paths, made, plan.code.run)
    with contextlib.suppress(errors.CannotWrite):  # the commit is made: what `undo` would say of it is not worth it
        op_id = operations.begin(repo.paths, author.command, author.now, who=author.who, commit=made)
        operations.end(repo.paths, op_id, operations.DONE)
    return made, [*_submodules(plan), *_follow(repo, plan)]


def message_of(record: Record, given: Sequence[str]) -> str:
    """The message: the paragraphs that were given, or what the run says of itself."""
    if given:
        return "\n\n".join(given)
    name, command = record.facts.get("name"), record.facts.get("command")
    text = " ".join((command if isinstance(command, str) else "").split()) or f"Run {record.id}"
    subject = f"{name}: {text}" if isinstance(name, str) and name else text
    return subject if len(subject) <= _SUBJECT else subject[: _SUBJECT - 1] + "…"


def _head(git: Git) -> tuple[str | None, str | None]:
    done = git.call("rev-parse", "--verify", "-q", "HEAD^{commit}")
    branch = git.call("symbolic-ref", "--short", "-q", "HEAD")
    return (
        done.out.decode().strip() if done.code == 0 else None,
        os.fsdecode(branch.out).strip() if branch.code == 0 else None,
    )


def _compared(repo: Repository, plan: Promoting) -> Promoting:
    """What index and work tree have of the files that the commit changes."""
    root = repo.paths.worktree or ""
    with temporary_index(repo.git) as index:
        index.call("update-index", "-q", "--refresh")
        entries = _entries(index)
        dirty = set(os.fsdecode(index.run("diff-files", "--name-only", "-z", "--ignore-submodules")).split("\0"))
    staged: list[Change] = []
    sparse: list[str] = []
    follow: list[str] = []
    stay: list[str] = []
    mixed: list[str] = []
    for one in plan.changes:
        tag, *entry = entries.get(one.path, ("", NOTHING, ""))
        if entry == [one.new_mode, one.new] or (entry[0] == NOTHING == one.new_mode):
            continue  # staged as it will be committed
        if entry != [one.old_mode, one.old] and not (entry[0] == NOTHING == one.old_mode):
            mixed.append(one.path)
            continue
        staged.append(one)
        if tag == "S" and one.new_mode != NOTHING:
            sparse.append(one.path)
            continue
        if SUBMODULE in (one.old_mode, one.new_mode):
            continue
        seen = placing.look(root, one.path)
        here = seen.kind != checkout_plan.ABSENT
        as_head = one.path not in dirty if one.old_mode != NOTHING else not here and not seen.blocker
        (follow if as_head and not checkout_plan.problem(one.path) else stay).append(one.path)
    if mixed:
        lines = checkout_plan.few(mixed)
        raise errors.WouldOverwrite(
            f"nothing was committed: you have staged other changes of files that the run had changed:\n{lines}",
            "commit them first, or unstage them: git restore --staged FILE",
        )
    stay = _differing(repo.git, plan, stay)
    return plan._replace(follow=follow, stay=stay, staged=staged, sparse=sparse)


def _differing(git: Git, plan: Promoting, stay: Sequence[str]) -> list[str]:
    """Those that are not as the commit will have them: where the run was made from this very work tree, all are."""
    news = {one.path: one for one in plan.changes}
    listed = [export.Listed(path, news[path].new_mode, news[path].new, None) for path in stay]
    there = [one for one in listed if one.mode != NOTHING]
    changed = export.differing(git, there, git.paths.worktree or "")
    gone = [one.path for one in listed if one.mode == NOTHING]
    return [*(one.path for one in there if one.path in changed), *(path for path in gone if _is(git, path))]


def _is(git: Git, path: str) -> bool:
    return os.path.lexists(os.path.join(git.paths.worktree or "", path))


def _entries(index: TemporaryIndex) -> dict[str, tuple[str, str, str]]:
    """Path -> tag (S: not to be in the work tree), mode, oid."""
    found = {}
    for field in os.fsdecode(index.run("ls-files", "-t", "-s", "-z")).split("\0"):
        head, tab, path = field.partition("\t")
        if tab:
            tag, mode, oid, _ = head.split(" ")
            found[path] = (tag, mode, oid)
    return found


def _commit(git: Git, index: TemporaryIndex, plan: Promoting, message: str) -> str:
    """By `git commit` with our index. What hooks print goes where errors go."""
    trailer = f"{links.TRAILER}: {plan.code.run}"
    words = ("interpret-trailers", "--if-exists", "addIfDifferent", "--trailer", trailer)
    text = git.run(*words, input=message.strip().encode(errors="surrogateescape") + b"\n")
    place = index.path + ".message"
    with open(place, "wb") as file:
        file.write(text)
    commit = ("-c", "core.splitIndex=false", "commit", "--quiet", "--no-edit", "--file", place)
    try:
        with git.popen(*commit, stdout=subprocess.PIPE, env={"GIT_INDEX_FILE": index.path}) as process:
            out, err = process.communicate()
    finally:
        os.unlink(place)
    if process.returncode != 0:
        raise failure(commit, process.returncode, err or out, git.paths)
    return git.run("rev-parse", "--verify", "HEAD").decode().strip()


def _submodules(plan: Promoting) -> list[str]:
    """What is said of them: git, too, lets those in the work tree stay where they are."""
    moved = [one.path for one in plan.staged if SUBMODULE in (one.old_mode, one.new_mode)]
    return [f"submodules stay where they are: {', '.join(moved)}; `git submodule update` moves them"] if moved else []


def _follow(repo: Repository, plan: Promoting) -> list[str]:
    """Index entries and files that were as HEAD had them become as it has them now; what could not is said.

    By git itself, and no operation of its own: who takes the commit back takes this back with it.
    """
    git, root = repo.git, repo.paths.worktree or ""
    lines = (f"{one.new_mode} {one.new}\t".encode() + os.fsencode(one.path) + b"\0" for one in plan.staged)
    done = [git.call("update-index", "-z", "--index-info", input=b"".join(lines))] if plan.staged else []
    if plan.sparse:
        done.append(git.call("update-index", "--skip-worktree", "-z", "--stdin", input=_names(plan.sparse)))
    modes = {one.path: one.new_mode for one in plan.changes}
    there = [path for path in plan.follow if modes[path] != NOTHING]
    if there:
        done.append(git.call("checkout-index", "--force", "--index", "--quiet", "-z", "--stdin", input=_names(there)))
    for path in plan.follow:
        if modes[path] == NOTHING:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(root, path))
            tidy(root, path)
    git.call("update-index", "-q", "--refresh")
    failed = [one.err.decode("utf-8", "replace").strip() for one in done if one.code != 0]
    return [f"the commit was made, but files are not all as it has them ({said}): see `git status`" for said in failed]


def _names(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)
