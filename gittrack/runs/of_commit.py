"""The runs that have to do with a commit of the user's: based on it, kept as it, or committed as it."""

from collections.abc import Callable

from gittrack import errors
from gittrack.git import objects
from gittrack.git.repository import Repository
from gittrack.runs import links
from gittrack.runs.row import Row


def runs_of_commit(repo: Repository, rev: str) -> Callable[[Row], bool]:
    """Whether a run has to do with what `rev` means. What the commit was before amends and rebases counts as well.

    Raises RunNotFound for what is no commit.
    """
    done = repo.git.call("rev-parse", "--verify", "-q", "--end-of-options", f"{rev}^{{commit}}")
    if done.code != 0:
        raise errors.RunNotFound(f"there is no commit {rev!r} here", "`git log --oneline` lists commits")
    commit = done.out.decode().strip()
    known = links.read(repo.paths)
    commits = frozenset(links.versions(known, commit))
    named = {
        *links.runs_of(repo.paths, commit, known),
        *links.named(objects.parse_commit(repo.read(commit)[1]).message),
    }
    return lambda row: row.id in named or row.base in commits or row.snapshot in commits
