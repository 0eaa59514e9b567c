"""How many peers a ZeroMQ socket has, from the events that ZeroMQ reports about it."""

from __future__ import annotations

import uuid
from typing import Any, Final

import zmq
from zmq.utils.monitor import recv_monitor_message

_OPENED: Final = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
_FAILED: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
# ZeroMQ's I/O thread stops while this many events wait, so there is room for a flood of connections.
_EVENTS_WAITING: Final = 100_000


class PeerMonitor:
    """Follows the connections of one socket. Make it before the socket binds or connects.

    `peers`: connections that finished the ZeroMQ handshake and still stand. `disconnects`: connections that ended.
    `handshake_failures`: those that ended because the other side did not speak ZeroMQ.
    """

    def __init__(self, context: zmq.Context[Any], watched: zmq.Socket[Any]) -> None:
        self.disconnects = 0
        self.handshake_failures = 0
        self._open: set[int] = set()
        self._handshaken = 0
        self._failing = False
        self._watched = watched
        endpoint = f"inproc://monitor-{uuid.uuid4().hex}"
        watched.monitor(endpoint, _OPENED | _FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self.socket = context.socket(zmq.PAIR)
        self.socket.linger = 0
        self.socket.rcvhwm = _EVENTS_WAITING
        self.socket.connect(endpoint)

    @property
    def peers(self) -> int:
        """Peers after the last `update`."""
        # Success is not reported per connection; a connection that never succeeded must not hide in the count.
        return min(self._handshaken, len(self._open))

    def update(self) -> None:
        """Take in all events that have been reported."""
        while self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            message = recv_monitor_message(self.socket, zmq.NOBLOCK)
            event, descriptor = message["event"], message["value"]
            if event & _OPENED:
                self._open.add(descriptor)
            elif event & zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._handshaken = min(self._handshaken + 1, len(self._open))
            elif event & _FAILED:
                if not self._failing:
                    self.handshake_failures += 1
                self._failing = True  # its end is reported next: one thread reports all
            elif event & zmq.EVENT_DISCONNECTED:
                self.disconnects += 1
                self._failing = False
                self._open.discard(descriptor)
                self._handshaken = min(self._handshaken, len(self._open))

    def close(self) -> None:
        """Stop following; to be called before the watched socket is closed."""
        self._watched.disable_monitor()
        self.socket.close(0)
