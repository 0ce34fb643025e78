"""Where a hook stands: the repository, and the index that this very commit is made of.

git tells a hook by GIT_INDEX_FILE which index that is: of `git commit -a` and `git commit PATH` it is another file than
`.git/index`. Everything else that git sets for its hooks is taken out by `git.command`.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from gittrack.git import command
from gittrack.git.command import Git
from gittrack.git.discover import Paths, discover
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.config.settings import Settings

_OF_HOOKS = frozenset(("cache", "tmp"))


class Place(NamedTuple):
    paths: Paths
    git: Git
    environ: Mapping[str, str]
    index_env: Mapping[str, str]  # GIT_INDEX_FILE for git, where it is not the usual one

    @property
    def tracked(self) -> bool:
        """Whether gittrack was ever used in this clone, but for hooks: else no commit has anything to do with it."""
        try:
            return not _OF_HOOKS.issuperset(os.listdir(os.path.join(self.paths.common_dir, "track")))
        except (FileNotFoundError, NotADirectoryError):
            return False

    @property
    def is_rebasing(self) -> bool:
        """Whether commits are made by a rebase, which tells post-rewrite what it made of them at its end."""
        return os.path.isdir(os.path.join(self.paths.git_dir, "rebase-merge"))

    def settings(self) -> "Settings":
        """Raises BadConfig. Only one hook needs them: they cost the others 10 ms."""
        found: Settings = lazy("gittrack.config.settings").load(self.paths, self.environ, command.config(self.git))
        return found


def here(environ: Mapping[str, str]) -> Place:
    """Raises NotARepository."""
    current = os.getcwd()
    paths = discover(current, environ)
    given = environ.get("GIT_INDEX_FILE")
    index_env = {"GIT_INDEX_FILE": os.path.join(current, given)} if given else {}
    return Place(paths, Git(paths, environ), environ, index_env)
