"""The virtual air: a process between transmitters and receivers that speak samples over ZeroMQ.

The side that wants samples sends a request, the side that has them replies with complex64: the convention of srsRAN's
``rf_zmq`` and of GNU Radio's ``zeromq.req_source`` and ``zeromq.rep_sink``, which can take part. docs/virtual-air.md.

Modules: `protocol` (messages), `ports` (sockets), `configuration`, `medium` (what happens to the samples), `server`.
Radios need the first two only, so that nothing is imported here.
"""
