"""A branch at the code of a run. git makes it: what it refuses, and how it says so, everybody knows."""

from gittrack import errors
from gittrack.git.repository import Repository
from gittrack.runs import links
from gittrack.runs.code import Code


def branch(repo: Repository, code: Code, name: str, switch: bool, force: bool) -> str:
    """Make it, or with `switch` make it and go there: all or nothing. Returns its commit. Raises GitFailed."""
    if name.startswith("-"):
        raise errors.UsageError(f"{name!r} is no name of a branch", "a name begins with a letter or a digit")
    words = ("switch", "--quiet", "--no-track", "-C" if force else "-c", name) if switch else ("branch", "--no-track")
    target = () if switch else (*(("--force",) if force else ()), name)
    done = repo.git.call(*words, *target, code.snapshot)
    if done.code != 0:
        said = done.err.decode("utf-8", "replace").strip().removeprefix("fatal: ").removeprefix("error: ")
        raise errors.GitFailed(f"no branch was made: {said}", _hint(said))
    if not code.is_clean:  # an ordinary commit may have come to be in many ways
        links.add(repo.paths, code.snapshot, code.run)
    return code.snapshot


def _hint(said: str) -> str:
    if "already exists" in said:
        return "choose another name, or --force moves the branch that is there"
    if "overwritten" in said:
        return "commit or stash your changes, or leave out --switch"
    return "see `git help branch`"
