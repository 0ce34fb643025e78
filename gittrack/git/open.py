"""Which of the two backends opens a repository."""

from collections.abc import Mapping
from typing import cast

from gittrack import errors
from gittrack.git.discover import Format, Paths, repository_format
from gittrack.git.repository import Repository
from gittrack.lazy import lazy


def open_repository(paths: Paths, environ: Mapping[str, str], backend: str = "auto") -> Repository:
    """`auto`: libgit2 where it can read this repository, else git. Naming one is for tests and for `doctor`."""
    form = repository_format(paths)
    if backend == "cli" or (backend == "auto" and not suits_libgit2(form)):
        return _cli(paths, form, environ)
    try:
        door = lazy("gittrack.git.pygit_backend")
    except ImportError as error:
        if backend == "auto":
            return _cli(paths, form, environ)
        raise errors.Unsupported("pygit2 cannot be loaded", "pip install --upgrade pygit2") from error
    try:
        return cast(Repository, door.PygitRepository(paths, form, environ))
    except door.CannotOpen as error:
        if backend == "auto":  # git opens it, or says better why not
            return _cli(paths, form, environ)
        raise errors.Unsupported(f"libgit2 cannot open {paths.git_dir}: {error}") from error


def _cli(paths: Paths, form: Format, environ: Mapping[str, str]) -> Repository:
    return cast(Repository, lazy("gittrack.git.cli_backend").CliRepository(paths, form, environ))


def suits_libgit2(form: Format) -> bool:
    """What is known before libgit2 is loaded. Of other extensions it says itself, by refusing, which ones it lacks."""
    return form.algorithm == "sha1" and form.refs == "files"
