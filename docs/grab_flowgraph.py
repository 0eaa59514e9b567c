"""Pictures of a flowgraph, made under GNU Radio's Python with a display: started by make_flowgraph_screenshots.py.

grab_flowgraph.py window PROGRAM PICTURE WIDTH HEIGHT OPTIONS…    runs the program; SIGUSR1 makes it grab its window
grab_flowgraph.py canvas FLOWGRAPH PICTURE                        draws the flowgraph as Companion does
"""
# mypy: ignore-errors

from __future__ import annotations

import importlib.util
import signal
import sys

#: From the signal to the picture: displays draw ten times a second.
SETTLE_MS = 1500


def window(program: str, picture: str, width: int, height: int, options: list[str]) -> None:
    """Run the program of a flowgraph; at SIGUSR1 grab its window and end it."""
    from PyQt5 import Qt

    specification = importlib.util.spec_from_file_location("flowgraph", program)
    module = importlib.util.module_from_spec(specification)
    sys.argv = [program, *options]
    specification.loader.exec_module(module)
    (top_block, *_) = module.main.__defaults__

    class Grabbed(top_block):
        """The flowgraph in a window of the size that was asked for."""

        def show(self) -> None:
            self.resize(width, height)
            super().show()
            signal.signal(signal.SIGUSR1, lambda *_: Qt.QTimer.singleShot(SETTLE_MS, self.grab_and_close))

        def grab_and_close(self) -> None:
            self.grab().save(picture)
            self.close()

    module.main(top_block_cls=Grabbed)


def canvas(flowgraph: str, picture: str) -> None:
    """Open the flowgraph in Companion and draw it as its menu entry Screen Capture does."""
    import gi

    gi.require_version("Gtk", "3.0")
    gi.require_version("PangoCairo", "1.0")
    from gi.repository import GLib
    from gnuradio import gr
    from gnuradio.grc.gui.Platform import Platform

    # isort: split
    # After Platform: they import each other in a circle.
    from gnuradio.grc.gui.Application import Application
    from gnuradio.grc.gui.Utils import make_screenshot

    version_parts = (gr.major_version(), gr.api_version(), gr.minor_version())
    platform = Platform(version=gr.version(), version_parts=version_parts, prefs=gr.prefs(), install_prefix=gr.prefix())
    platform.build_library()
    companion = Application([flowgraph], platform)

    def draw() -> bool:
        drawn = companion.main_window.current_page.flow_graph
        drawn.update()
        make_screenshot(drawn, picture)
        companion.quit()
        return False

    GLib.timeout_add(SETTLE_MS, draw)
    companion.run()


if __name__ == "__main__":
    _, what, source, target, *rest = sys.argv
    if what == "window":
        window(source, target, int(rest[0]), int(rest[1]), rest[2:])
    else:
        canvas(source, target)
