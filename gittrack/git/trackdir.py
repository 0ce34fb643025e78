"""Our few files in `<common dir>/track`, for whom the repository is: core.sharedRepository holds for them, too."""

import os

from gittrack.git import loose


def open_file(common: str, name: str) -> int:
    """Open `track/<name>` for reading and writing, made if it is not there. Raises CannotWrite."""
    place = f"{common}/track/{name}"
    try:
        like = os.stat(f"{common}/objects").st_mode
        try:
            return os.open(place, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _make_directory(os.path.dirname(place), like)
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if os.fstat(file).st_uid == os.geteuid():
            os.fchmod(file, 0o666 & like)
    except OSError as error:
        raise loose.cannot_write(error, place) from error
    return file


def _make_directory(path: str, like: int) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, like & 0o7777)
