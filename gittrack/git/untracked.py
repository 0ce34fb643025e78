"""Which files git does not track, as far as a snapshot may want them.

`git status` names a wholly untracked directory once; only those that may hold code are then listed. So an environment
or a package cache that nobody ignored costs nothing, and is one line in what is left out instead of 30,000.
"""

import fnmatch
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gittrack.git.command import Git

_CACHES = frozenset(
    {
        "__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".tox",
        ".nox",
    }
)  # fmt: skip
_CACHE = "a cache: made again when needed"
_MODULES = "installed packages"
_ENVIRONMENT = "a Python environment: the run's packages are recorded instead"
_MANY = 500  # directories given by name to ls-files; with more it is asked for everything


class Untracked(NamedTuple):
    paths: tuple[str, ...]  # files, candidates for the snapshot
    wanted: frozenset[str]  # those that `include` asks for, whatever the policy says
    ignored: frozenset[str]  # of wanted: what the user's excludes ignore
    nested: tuple[str, ...]  # repositories inside the work tree, without the closing "/"
    whole: tuple[tuple[str, str], ...]  # directories left out as one, with the reason
    unmatched: tuple[str, ...]  # of `include`


def list_untracked(
    git: Git, worktree: str, found: Sequence[str], tracked: Iterable[str], include: Sequence[str]
) -> Untracked:
    """`found` is what git status calls untracked; `tracked` are changed tracked paths that `include` may mean."""
    included = _included(git, worktree, include)
    whole: dict[str, str] = {}
    directories = []
    for path in found:
        if path.endswith("/"):
            reason = _reason(worktree, path[:-1])
            if reason:
                whole[path[:-1]] = reason
            else:
                directories.append(path)
    files = [path for path in found if not path.endswith("/")]
    files += _below(git, directories)
    nested = dict.fromkeys(path[:-1] for path in files + included if path.endswith("/"))
    kept = _without_groups([path for path in files if not path.endswith("/")], whole)
    wanted = dict.fromkeys(path for path in included if not path.endswith("/"))
    known = set(files)
    seen = [*wanted, *nested, *tracked]
    return Untracked(
        paths=tuple(dict.fromkeys([*kept, *wanted])),
        wanted=frozenset(wanted),
        ignored=frozenset(path for path in wanted if path not in known and not _inside(path, whole)),
        nested=tuple(nested),
        whole=tuple((path, reason) for path, reason in whole.items() if not any(matches(p, path) for p in include)),
        unmatched=_unmatched(git, worktree, include, seen),
    )


def matches(pattern: str, path: str) -> bool:
    """Whether `--include PATTERN` means `path`: itself, a directory above it, or a pattern whose * also crosses "/"."""
    plain = pattern.rstrip("/")
    if plain in (".", path) or path.startswith(plain + "/"):
        return True
    return fnmatch.fnmatchcase(path, plain)


def _included(git: Git, worktree: str, include: Sequence[str]) -> list[str]:
    """All that git does not track and `include` means, ignored or not."""
    specs = _specs(worktree, include)
    return git.fields("ls-files", "-o", "-z", "--", *specs) if specs else []


def _unmatched(git: Git, worktree: str, include: Sequence[str], seen: Iterable[str]) -> tuple[str, ...]:
    """What means no file at all. A tracked file that did not change is in the snapshot anyway."""
    left = [pattern for pattern in include if not any(matches(pattern, path) for path in seen)]
    specs = _specs(worktree, left)
    tracked = git.fields("ls-files", "-z", "--", *specs) if specs else []
    return tuple(pattern for pattern in left if not any(matches(pattern, path) for path in tracked))


def _specs(worktree: str, include: Sequence[str]) -> list[str]:
    return [
        (":(top,literal)" if os.path.lexists(os.path.join(worktree, pattern)) else ":(top)") + pattern
        for pattern in include
        if not (pattern.startswith(("/", "../")) or pattern == "..")
    ]


def _below(git: Git, directories: Sequence[str]) -> list[str]:
    if not directories:
        return []
    if len(directories) > _MANY:
        listed = git.fields("ls-files", "-o", "-z", "--exclude-standard")
        return [path for path in listed if path.startswith(tuple(directories))]
    specs = [":(top,literal)" + path for path in directories]
    return git.fields("ls-files", "-o", "-z", "--exclude-standard", "--", *specs)


def _reason(worktree: str, directory: str) -> str | None:
    """Why a directory is left out as a whole, or None."""
    name = os.path.basename(directory)
    if name in _CACHES:
        return _CACHE
    if name == "node_modules":
        return _MODULES
    place = os.path.join(worktree, directory)
    if os.path.exists(os.path.join(place, "pyvenv.cfg")) or os.path.isdir(os.path.join(place, "conda-meta")):
        return _ENVIRONMENT
    return None


def _without_groups(paths: Sequence[str], whole: dict[str, str]) -> list[str]:
    """Take environments and caches below the listed directories out of `paths`, and name them in `whole`."""
    environments = {os.path.dirname(path) for path in paths if path.endswith("/pyvenv.cfg")}
    environments |= {path.partition("/conda-meta/")[0] for path in paths if "/conda-meta/" in path}
    memory: dict[str, str | None] = {"": None}

    def group(directory: str) -> str | None:
        if directory not in memory:
            above, _, name = directory.rpartition("/")
            reason = _ENVIRONMENT if directory in environments else _MODULES if name == "node_modules" else None
            reason = reason or (_CACHE if name in _CACHES else None)
            memory[directory] = group(above) or (directory if reason else None)
            if reason and memory[directory] == directory:
                whole[directory] = reason
        return memory[directory]

    return [path for path in paths if group(os.path.dirname(path)) is None]


def _inside(path: str, directories: Iterable[str]) -> bool:
    return any(path.startswith(directory + "/") for directory in directories)


def heaviest(sizes: dict[str, int], limit: int, weigh: Callable[[int], int]) -> list[str]:
    """Directories (ending in "/") and files to take out of `sizes` so that the weights of the rest sum to `limit`.

    The smallest directory that is enough goes first: code that lies next to a data set is kept. When none is enough,
    the heaviest one goes, and the next is looked for.
    """
    rest = dict(sizes)
    out: list[str] = []
    while (excess := sum(map(weigh, rest.values())) - limit) > 0:
        totals: dict[str, int] = {}
        for path, size in rest.items():
            at = path.find("/")
            while at >= 0:
                totals[path[: at + 1]] = totals.get(path[: at + 1], 0) + weigh(size)
                at = path.find("/", at + 1)
        enough = [path for path, total in totals.items() if total >= excess]
        if enough:
            chosen = min(enough, key=lambda path: (totals[path], -len(path), path))
        else:
            weights = totals or {path: weigh(size) for path, size in rest.items()}
            chosen = max(weights, key=lambda path: (weights[path], path))
        out.append(chosen)
        rest = {
            path: size
            for path, size in rest.items()
            if path != chosen and not (chosen.endswith("/") and path.startswith(chosen))
        }
    return out
