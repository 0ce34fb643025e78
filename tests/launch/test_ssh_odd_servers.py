"""Servers that are not OpenSSH's: what others leave unsaid, and what only a hostile one does."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_DATA, cMSG_CHANNEL_EXTENDED_DATA, cMSG_CHANNEL_REQUEST

from gittrack.errors import HostFailed, LinkLost
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import ACCEPT_NEW, Done, Link
from gittrack.launch.reached import open_link

MORE = 64 << 20
Behaviour = Callable[[Any], object]


class Server(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no types
    """Lets everybody in; `behave` is what it does where a process should be, `before` what it does before it says
    that there is one; False: it then says that there is none."""

    def __init__(self, behave: Behaviour, before: Behaviour | None) -> None:
        self._behave = behave
        self._before = before

    def check_auth_none(self, _user: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, _kind: str, _number: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: Any, _command: bytes) -> bool:
        if self._before and self._before(channel) is False:
            return False
        threading.Thread(target=self._behave, args=(channel,), daemon=True).start()
        return True


@pytest.fixture
def behaving(sealed: object) -> Iterator[Callable[..., Link]]:
    """A link to a server that behaves like this."""
    opened: list[Any] = []

    def start(behave: Behaviour, before: Behaviour | None = None) -> Link:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            server = paramiko.Transport(listener.accept()[0])
            server.add_server_key(paramiko.ECDSAKey.generate())
            opened.append(server)
            server.start_server(server=Server(behave, before))

        opened.append(listener)
        threading.Thread(target=serve, daemon=True).start()
        address, port = listener.getsockname()
        link = open_link(Host("odd", "ann", address, port), ACCEPT_NEW)
        opened.append(link)
        return link

    yield start
    for each in reversed(opened):
        each.close()


def send(channel: Any, kind: bytes, *numbers: int, data: bytes | None = None) -> None:
    message = paramiko.Message()
    message.add_byte(kind)
    for number in (channel.remote_chanid, *numbers):
        message.add_int(number)
    if data is not None:
        message.add_string(data)
    channel.transport._send_user_message(message)


def test_a_channel_that_is_closed_without_a_word_about_its_output_has_given_all(
    behaving: Callable[[Behaviour], Link],
) -> None:
    def behave(channel: Any) -> None:
        channel.sendall(b"all\n")
        channel.send_exit_status(3)
        send(channel, cMSG_CHANNEL_CLOSE)

    link = behaving(behave)
    assert link.run(["true"], check=False) == Done(3, b"all\n", b"")
    assert not link.lost


def test_one_that_is_closed_without_an_exit_code_has_not(behaving: Callable[[Behaviour], Link]) -> None:
    def behave(channel: Any) -> None:
        channel.sendall(b"some")
        send(channel, cMSG_CHANNEL_CLOSE)

    with pytest.raises(LinkLost):
        behaving(behave).run(["true"], check=False)


def test_a_command_that_is_refused_has_not_broken_the_connection(behaving: Callable[..., Link]) -> None:
    link = behaving(lambda _: None, lambda _: False)
    with pytest.raises(HostFailed, match="true was not started") as caught:
        link.open(["true"])
    assert not isinstance(caught.value, LinkLost) and not link.lost


@pytest.mark.parametrize("is_early", [False, True], ids=["while it runs", "before it is said to run"])
@pytest.mark.parametrize(("kind", "numbers"), [(cMSG_CHANNEL_DATA, ()), (cMSG_CHANNEL_EXTENDED_DATA, (1,))])
def test_what_is_sent_beyond_the_room_that_was_given_does_not_fill_the_memory(
    behaving: Callable[..., Link], kind: bytes, numbers: tuple[int, ...], is_early: bool
) -> None:
    sent: list[int] = []
    over, may_begin = threading.Event(), threading.Event()

    def flood(channel: Any) -> None:
        try:
            while sum(sent) < MORE and channel.transport.is_active():
                send(channel, kind, *numbers, data=bytes(32_000))
                sent.append(32_000)
        except (OSError, EOFError, paramiko.SSHException):
            pass
        over.set()

    def behave(channel: Any) -> None:
        may_begin.wait(60)
        flood(channel)

    link = behaving(behave, flood if is_early else None)
    with pytest.raises(LinkLost, match="more than it was given room for"):
        channel = link.open(["true"])
        may_begin.set()
        assert over.wait(60)  # reading would make room
        while True:
            channel.read(1 << 20)
    assert over.wait(60) and sum(sent) < MORE


def test_what_makes_no_sense_is_a_lost_link_that_says_so(behaving: Callable[..., Link]) -> None:
    def babble(channel: Any) -> None:
        send(channel, cMSG_CHANNEL_REQUEST, data=b"\xff")  # no text

    link = behaving(lambda _: None, babble)
    with pytest.raises(LinkLost, match="makes no sense"):
        link.open(["true"])
