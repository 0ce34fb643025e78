"""Models and large files that are about to become part of every clone for ever."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from gittrack.config.settings import Settings
from gittrack.git.command import Git
from gittrack.hook.finding import Finding
from gittrack.hook.patterns import fits
from gittrack.hook.place import Place
from gittrack.hook.staged import Change

_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 1024
_TEXT = 10  # a text may be so many times as large as a binary file
_LOOKED_AT = 8000  # bytes: git, too, takes a file for binary when one of these is NUL
_MOST_READ = 100  # files


def findings(place: Place, changes: Sequence[Change], sizes: Mapping[str, int], settings: Settings) -> list[Finding]:
    """Those of `changes` that should not be committed."""
    is_model = fits(settings.hook_models)
    models = [one for one in changes if sizes.get(one.oid) and is_model(one.path)]
    short = [one.oid for one in models if sizes[one.oid] <= _LONGEST_POINTER]
    pointers = {oid for oid in short if start(place.git, oid, len(_POINTER)) == _POINTER}
    models = [one for one in models if one.oid not in pointers]
    named = set(models)
    large = [one for one in changes if one not in named and sizes.get(one.oid, 0) > settings.hook_large]
    large = [one for at, one in enumerate(large) if _refused(place.git, one, sizes[one.oid], settings, at)]
    meant = _meant_for_lfs(place, [one.path for one in (*models, *large)])
    return [
        *(_finding(one.path, sizes[one.oid], "a model", one.path in meant) for one in models),
        *(_finding(one.path, sizes[one.oid], "a large file", one.path in meant) for one in large),
    ]


def _refused(git: Git, change: Change, size: int, settings: Settings, number: int) -> bool:
    if size > _TEXT * settings.hook_large or number >= _MOST_READ:
        return True
    return b"\0" in start(git, change.oid)


def start(git: Git, oid: str, count: int = _LOOKED_AT) -> bytes:
    """The first bytes of a blob; the rest, which may be gigabytes, is not waited for."""
    with git.popen("cat-file", "blob", oid) as process:
        assert process.stdout is not None
        data = process.stdout.read(count)
        process.kill()
    return data


def _meant_for_lfs(place: Place, paths: Sequence[str]) -> set[str]:
    """Those that .gitattributes gives to git-lfs: it was not set up when they were added."""
    if not paths:
        return set()
    given = "\0".join(paths).encode("utf-8", "surrogateescape") + b"\0"
    fields = place.git.fields("check-attr", "--cached", "-z", "--stdin", "filter", input=given, env=place.index_env)
    return {path for path, value in zip(fields[::3], fields[2::3], strict=False) if value == "lfs"}


def _finding(path: str, size: int, what: str, meant_for_lfs: bool) -> Finding:
    name = shlex.quote(path)
    if meant_for_lfs:
        what = f"{what} of {_size(size)} that .gitattributes gives to git-lfs, but git-lfs has not seen it"
        return Finding(path, what, (f"git lfs install && git add --renormalize {name}",))
    ending = path.rpartition("/")[2].rpartition(".")[2]
    pattern = f"*.{ending}" if "." in path.rpartition("/")[2] else path
    return Finding(
        path,
        f"{what} of {_size(size)} that git-lfs does not track",
        (
            f"to keep it with a run: run.checkpoint(path={path!r}) or run.log_artifact({path!r}), and leave it out of "
            f"git: git rm --cached {name} && echo {shlex.quote('/' + path)} >> .gitignore",
            f"to version it: git lfs track {shlex.quote(pattern)} && git add .gitattributes {name}",
            f"if it belongs into git as it is: hook_allow: [{_yaml(path)}] in gittrack.yaml",
        ),
    )


def _yaml(path: str) -> str:
    return path if re.fullmatch(r"[A-Za-z_.][\w./-]*", path, re.ASCII) else json.dumps(path, ensure_ascii=False)


def _size(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
