"""Nothing is sent for a channel after it has been closed, however its end and our threads meet.

A channel is over when both sides have said CLOSE (RFC 4254, 5.3), and its number is then another's. paramiko makes a
message under the lock of its channel and sends it without, while its own thread answers the CLOSE of the host at once:
what is sent between the two is for a channel that is not there, or is another's, and sshd answers by ending the whole
connection. Here each message is made and sent in one piece, and CLOSE is answered by a thread that can wait for that.

Nor does a host send more than there is room for, of which paramiko would take any amount.
"""

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

import paramiko
from paramiko.buffered_pipe import PipeTimeout

BROKEN = (paramiko.SSHException, EOFError, OSError)
_LONGEST = 200  # characters of what a host says at the end
_WINDOW = paramiko.common.cMSG_CHANNEL_WINDOW_ADJUST
_ANSWERS = (paramiko.ChannelException, paramiko.AuthenticationException)  # of a connection that goes on


def _refuse(channel: Any, message: Any) -> None:
    _is_ended(channel)
    channel._request_failed(message)


def _answer_later(channel: Any, message: Any) -> None:
    _is_ended(channel)
    if channel.exit_status != -1:  # the process has ended: servers in Go do not say that its output has, too
        channel.eof_received = True
    channel.transport.closings.put((channel, message))


def _take(feed: Callable[[Any, Any], None], channel: Any, message: Any) -> None:
    feed(channel, message)
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > channel.in_window_size:
        raise paramiko.SSHException("it sends more than it was given room for")


class _Packets(paramiko.packet.Packetizer):  # type: ignore[misc]  # paramiko has no types
    """Takes note once that the first keys are agreed on. paramiko says it after each packet, and who waits for what was
    in that waits meanwhile."""

    _is_agreed = False

    def complete_handshake(self) -> None:
        if not self._is_agreed:
            self._is_agreed = True
            super().complete_handshake()


class Transport(paramiko.Transport):  # type: ignore[misc]  # paramiko has no types
    """One connection. The channels that it opens are to be used by the functions of this module."""

    _channel_handler_table = {
        **paramiko.Transport._channel_handler_table,
        paramiko.common.MSG_CHANNEL_FAILURE: _refuse,
        paramiko.common.MSG_CHANNEL_CLOSE: _answer_later,
        paramiko.common.MSG_CHANNEL_DATA: partial(_take, paramiko.Channel._feed),
        paramiko.common.MSG_CHANNEL_EXTENDED_DATA: partial(_take, paramiko.Channel._feed_extended),
    }

    farewell = ""  # why the host has ended it, in its words
    broke: Exception | None = None  # on what it broke; paramiko says it once, to whoever asks first

    def __init__(self, sock: Any, **options: Any) -> None:
        super().__init__(sock, packetizer_class=_Packets, **options)

    def run(self) -> None:
        self.closings: SimpleQueue[tuple[Any, Any] | None] = SimpleQueue()
        answering = threading.Thread(target=self._answer, name="gittrack-closings", daemon=True)
        answering.start()
        try:
            super().run()
        finally:
            self.closings.put(None)

    def get_exception(self) -> Exception | None:
        error: Exception | None = super().get_exception()
        if error is None or isinstance(error, _ANSWERS):
            return error
        if not isinstance(error, BROKEN):  # of what made no sense, and is raised where it was waited for
            error = paramiko.SSHException(f"what the host sends makes no sense ({type(error).__name__}: {error})")
        self.broke = error
        return error

    def _parse_disconnect(self, message: Any) -> None:
        message.get_int()  # the code says less than the text
        self.farewell = "".join(filter(str.isprintable, message.get_text()))[:_LONGEST]
        message.rewind()
        super()._parse_disconnect(message)

    def _answer(self) -> None:
        while (closing := self.closings.get()) is not None:
            channel, message = closing
            with contextlib.suppress(*BROKEN), _in_one_piece(channel):
                channel._handle_close(message)


def receive(channel: Any, size: int) -> bytes:
    """Output; b"" at its end. Raises TimeoutError after the timeout of the channel."""
    return _taken(channel, channel.in_buffer, size)


def receive_errors(channel: Any, size: int) -> bytes:
    """The same, of its standard error."""
    return _taken(channel, channel.in_stderr_buffer, size)


def send(channel: Any, data: memoryview) -> int:
    """How much of `data` was sent. Raises OSError where nothing can be any more."""
    with channel.lock:  # the window opens when the process reads: waited for without what others need
        if not (channel.closed or channel.eof_sent or channel.out_window_size):
            channel.out_buffer_cv.wait(channel.timeout)
            if not (channel.closed or channel.eof_sent or channel.out_window_size):
                return 0
    with _in_one_piece(channel):
        if channel.eof_sent:
            raise BrokenPipeError(32, "its input has been ended")
        return int(channel.send(data))


def end_input(channel: Any) -> None:
    """Once."""
    with _in_one_piece(channel):
        channel.shutdown_write()


def close(channel: Any) -> None:
    """Nothing more will be sent or received."""
    _is_ended(channel)
    with _in_one_piece(channel):
        channel.close()


def cut_off(channel: Any) -> bool:
    """Whether it is over and neither side of it has said so: the connection has broken. Its thread is then about to
    end, and is taken to be active until it has."""
    return bool(channel.closed) and "gittrack_ended" not in vars(channel)


def _is_ended(channel: Any) -> None:
    vars(channel)["gittrack_ended"] = True


def signal(channel: Any, name: str) -> None:
    """To the process and its children; sshd passes it on since OpenSSH 7.9. paramiko has no call for it."""
    with _in_one_piece(channel):
        if not channel.closed:
            message = paramiko.Message()
            message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
            message.add_int(channel.remote_chanid)
            message.add_string("signal")
            message.add_boolean(False)
            message.add_string(name)
            channel.transport._send_user_message(message)


def _taken(channel: Any, buffer: Any, size: int) -> bytes:
    try:
        data: bytes = buffer.read(size, channel.timeout)
    except PipeTimeout:
        raise TimeoutError from None
    with _in_one_piece(channel):
        if room := channel._check_add_window(len(data)):
            message = paramiko.Message()
            message.add_byte(_WINDOW)
            message.add_int(channel.remote_chanid)
            message.add_int(room)
            channel.transport._send_user_message(message)
    return data


def _in_one_piece(channel: Any) -> threading.Lock:
    gate: threading.Lock = vars(channel).setdefault("gittrack_gate", threading.Lock())
    return gate
