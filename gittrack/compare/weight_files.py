"""Which files hold weights, and which of two runs are to be compared."""

from collections.abc import Mapping, Sequence

from gittrack.compare.text import line
from gittrack.errors import RunNotFound, UsageError
from gittrack.runs.artifacts import Artifact

SAFETENSORS = ".safetensors"
_ENDINGS = (".pt", ".pth", ".ckpt", ".bin", SAFETENSORS)


def holds_weights(path: str) -> bool:
    """By its name."""
    return path.lower().endswith(_ENDINGS)


def pair(first: Sequence[Artifact], second: Sequence[Artifact], wanted: str | None) -> tuple[Artifact, Artifact]:
    """The file of the same name in both; of several the one called `wanted`. Raises RunNotFound, UsageError.

    Of a file that was kept repeatedly it is the last one.
    """
    before, after = _by_path(first), _by_path(second)
    if wanted is not None:
        for files, which in ((before, "first"), (after, "second")):
            if wanted not in files:
                raise RunNotFound(f"the {which} has no file {line(wanted)}", f"it has: {_listed(files)}")
        return before[wanted], after[wanted]
    common = [path for path in before if path in after]
    likely = [path for path in common if holds_weights(path)] or common
    if len(likely) == 1:
        return before[likely[0]], after[likely[0]]
    if likely:
        raise UsageError(
            f"both have several files: {_listed(likely)}", "name one: git track diff A B --weights -- FILE"
        )
    alone = [[one for path, one in files.items() if holds_weights(path)] for files in (before, after)]
    if len(alone[0]) == len(alone[1]) == 1:
        return alone[0][0], alone[1][0]
    raise RunNotFound(
        f"no file is in both: the first has {_listed(before)}, the second {_listed(after)}",
        "`git track artifacts RUN` lists files; run.checkpoint(path=…) keeps them",
    )


def _by_path(files: Sequence[Artifact]) -> Mapping[str, Artifact]:
    return {one.path: one for one in files if one.mode != "120000"}


def _listed(files: Sequence[str] | Mapping[str, Artifact]) -> str:
    shown = [line(path) for path in list(files)[:8]]
    return ", ".join(shown) + (", …" if len(files) > 8 else "") or "none"
