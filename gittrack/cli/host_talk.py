"""What is said and asked while a host is dealt with: notes and bars on standard error, questions at the terminal."""

import contextlib
import getpass
from collections.abc import Iterator

from gittrack.cli.progress import Transfer
from gittrack.cli.render import say
from gittrack.compare.text import line
from gittrack.git.network import Progress
from gittrack.launch.link.protocol import ACCEPT_NEW, Ask, UnknownKey
from gittrack.launch.reached import Talk

_TERMINAL = "/dev/tty"


def talk(accept_new: bool = False, quiet: bool = False) -> Talk:
    """`accept_new`: host keys that nobody knows are believed; those that have changed never are."""
    return Talk(_nothing if quiet else say, _ask(accept_new), _no_transfer if quiet else _transfer)


def _ask(accept_new: bool) -> Ask:
    return Ask(ACCEPT_NEW.accept if accept_new else _accept, _secret)


def _accept(key: UnknownKey) -> bool | None:
    """As ssh asks it. None: there is no terminal."""
    question = (
        f"The host key of {line(key.host)} is not known: {key.kind} {key.fingerprint}\n"
        f"Do you trust it? It is written to {line(key.file)} (yes/no) "
    )
    try:
        with open(_TERMINAL, "w", encoding="utf-8", errors="replace") as shown:  # no file can be both: it cannot seek
            shown.write(question)
        with open(_TERMINAL, encoding="utf-8", errors="replace") as given:
            return given.readline().strip().lower() in ("yes", "y")
    except OSError:
        return None


def _secret(words: str) -> str | None:
    """A passphrase or a password. None: there is no terminal."""
    try:
        with open(_TERMINAL, "rb"):
            return getpass.getpass(f"{line(words)}: ")
    except OSError:
        return None


@contextlib.contextmanager
def _transfer(what: str) -> Iterator[Progress]:
    with Transfer(what) as shown:
        yield shown


@contextlib.contextmanager
def _no_transfer(_what: str) -> Iterator[None]:
    yield None


def _nothing(_text: str) -> None:
    pass
