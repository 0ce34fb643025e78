"""Many short processes over one connection, whose input ends at the moment when they do."""

import contextlib
import threading
from collections.abc import Callable

import paramiko
import pytest
from rig_ssh import Site

from gittrack.errors import HostFailed, LinkLost
from gittrack.launch.ssh.link import Ssh

THREADS, EACH = 6, 30


def test_an_input_that_ends_when_its_process_does_leaves_the_connection_whole(ssh: Ssh) -> None:
    def work() -> None:
        for _ in range(EACH):
            channel = ssh.open(["true"])
            channel.end_input()
            channel.wait()
            channel.close()

    assert not _problems(work)


def test_input_for_a_process_that_has_just_ended_leaves_the_connection_whole(ssh: Ssh) -> None:
    def work() -> None:
        for _ in range(EACH):
            channel = ssh.open(["true"])
            with contextlib.suppress(BrokenPipeError):
                while True:
                    channel.write(b"x")
            channel.wait()
            channel.close()

    assert not _problems(work)


def test_keys_are_exchanged_anew_while_processes_begin_and_end(ssh: Ssh) -> None:
    """As it happens after every 512 MB; nothing of channels may be sent meanwhile, and their ends wait."""
    transport = ssh._lines[0]._transport
    transport.packetizer.REKEY_BYTES = 1 << 18
    before = transport.H

    def work() -> None:
        for _ in range(EACH // 4):
            channel = ssh.open(["true"])
            channel.end_input()
            assert len(ssh.run(["head", "-c", "300000", "/dev/zero"]).out) == 300_000
            channel.wait()
            channel.close()

    assert not _problems(work)
    assert before != transport.H


def test_what_the_host_says_when_it_ends_the_connection_is_passed_on(ssh: Ssh) -> None:
    channel = ssh.open(["sleep", "1000"])
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_EOF)
    message.add_int(999)  # no such channel
    ssh._lines[0]._transport._send_message(message)
    with pytest.raises(LinkLost, match=r"the host has ended it: .*nonexistent channel 999"):
        channel.read(1)
    channel.close()


def test_a_connection_that_breaks_is_not_taken_for_a_signal_before_it_is_known_to_have_ended(
    ssh: Ssh, site: Site
) -> None:
    channel, other = ssh.open(["sleep", "1000"]), ssh.open(["sleep", "1000"])
    found: list[object] = []

    def wait() -> None:
        try:
            found.append(channel.wait())
        except LinkLost as error:
            found.append(error)

    waiting = threading.Thread(target=wait)
    with other._channel.lock:  # its thread ends the first one, and then gets no further
        site.sshd.cut()
        assert channel._channel.status_event.wait(60)
        waiting.start()
        waiting.join(1)
        assert not found
    waiting.join(60)
    assert isinstance(found[0], LinkLost) and "the host has closed it" in found[0].message and ssh.lost


def _problems(work: Callable[[], None]) -> list[Exception]:
    """What went wrong in the threads that did it at once."""
    found: list[Exception] = []

    def attempt() -> None:
        try:
            work()
        except (HostFailed, AssertionError) as error:
            found.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
