"""Waits in PDU sockets until Ctrl-C. Argument: "send" or "receive"."""

import sys

import numpy as np

from semcom_phy.errors import LinkError
from semcom_phy.zmq import Pdu, PduReceiver, PduSender

with (
    PduReceiver("tcp://127.0.0.1:*", bind=True, session="s") as receiver,
    PduSender(receiver.address, bind=False, session="s") as sender,
):
    sender.send(Pdu({}, np.zeros(1)))
    receiver.receive()
    pdu = Pdu({}, np.zeros(2**17))
    sent = 1
    try:
        if sys.argv[1] == "send":
            try:
                while sent < 1000:
                    sender.send(pdu, timeout_s=0.3)
                    sent += 1
            except LinkError:
                print(receiver.address, flush=True)
            sender.send(pdu, timeout_s=60)  # everything is full
        print(receiver.address, flush=True)
        receiver.receive(60)
    except KeyboardInterrupt:
        # Still in order: what was sent arrives. At worst one number was left out.
        for number in range(1, sent):
            assert receiver.receive(5).metadata["seq"] == number
        following = sender.send(Pdu({}))
        assert following - sent in (0, 1)
        assert receiver.receive(5).metadata["seq"] == following
        assert receiver.stats.lost == following - sent
        print("interrupted", flush=True)
