"""Many short processes over one connection, whose input ends at the moment when they do."""

import threading
from collections.abc import Callable
from typing import Any

import paramiko
import pytest

from gittrack.errors import HostFailed, LinkLost
from gittrack.launch.ssh.link import Ssh

THREADS, EACH = 6, 30


def test_an_input_that_ends_when_its_process_does_leaves_the_connection_whole(ssh: Ssh) -> None:
    problems: list[HostFailed] = []

    def work() -> None:
        try:
            for _ in range(EACH):
                channel = ssh.open(["true"])
                channel.end_input()
                channel.wait()
                channel.close()
        except HostFailed as error:
            problems.append(error)

    _at_once(work)
    assert not problems


def test_input_for_a_process_that_has_just_ended_leaves_the_connection_whole(ssh: Ssh) -> None:
    problems: list[HostFailed] = []

    def work() -> None:
        try:
            for _ in range(EACH):
                channel = ssh.open(["true"])
                try:
                    while True:
                        channel.write(b"x")
                except BrokenPipeError:
                    pass
                channel.wait()
                channel.close()
        except HostFailed as error:
            problems.append(error)

    _at_once(work)
    assert not problems


def test_keys_are_exchanged_anew_while_processes_begin_and_end(ssh: Ssh) -> None:
    """As it happens after every 512 MB; nothing of channels may be sent meanwhile, and their ends wait."""
    transport = ssh._lines[0]._transport
    transport.packetizer.REKEY_BYTES = 1 << 18
    before, problems = transport.H, list[HostFailed]()

    def work() -> None:
        try:
            for _ in range(EACH // 4):
                channel = ssh.open(["true"])
                channel.end_input()
                assert len(ssh.run(["head", "-c", "300000", "/dev/zero"]).out) == 300_000
                channel.wait()
                channel.close()
        except HostFailed as error:
            problems.append(error)

    _at_once(work)
    assert not problems
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


def _at_once(work: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
