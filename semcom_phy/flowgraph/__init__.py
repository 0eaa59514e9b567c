"""GNU Radio flowgraphs as the application sees them: finding GNU Radio, compiling, starting and stopping.

Nothing here imports GNU Radio: it runs in a process and a Python of its own.
"""

from semcom_phy.flowgraph.python import GnuRadio, find_gnuradio

__all__ = ["GnuRadio", "find_gnuradio"]
