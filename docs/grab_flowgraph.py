"""Pictures of a flowgraph, made under GNU Radio's Python with a display: started by make_flowgraph_screenshots.py.

grab_flowgraph.py window PROGRAM PICTURE WIDTHxHEIGHT SLIDER=VALUE,… OPTIONS…
    moves the sliders and runs the program; SIGUSR1 makes it grab its window
grab_flowgraph.py canvas FLOWGRAPH PICTURE
    draws the flowgraph as Companion does
"""
# mypy: ignore-errors

from __future__ import annotations

import faulthandler
import importlib.util
import signal
import sys

#: From the signal to the picture: displays draw ten times a second.
SETTLE_MS = 1500
#: Companion that takes longer to show a flowgraph hangs; it ends and says where.
DRAWN_S = 60


def window(program: str, picture: str, size: str, sliders: str, options: list[str]) -> None:
    """Run the program of a flowgraph; at SIGUSR1 grab its window, in which all must be in sight, and end it."""
    from PyQt5 import Qt

    specification = importlib.util.spec_from_file_location("flowgraph", program)
    module = importlib.util.module_from_spec(specification)
    sys.argv = [program, *options]
    specification.loader.exec_module(module)
    (top_block, *_) = module.main.__defaults__

    out_of_sight = []

    class Grabbed(top_block):
        """The flowgraph in a window of the size that was asked for."""

        def show(self) -> None:
            self.resize(*map(int, size.split("x")))
            for slider in filter(None, sliders.split(",")):
                name, _, value = slider.partition("=")
                getattr(self, f"_{name}_win").findChild(Qt.QDoubleSpinBox).setValue(float(value))
            super().show()
            signal.signal(signal.SIGUSR1, lambda *_: Qt.QTimer.singleShot(SETTLE_MS, self.grab_and_close))

        def grab_and_close(self) -> None:
            hidden = max(self.top_scroll.verticalScrollBar().maximum(), self.top_scroll.horizontalScrollBar().maximum())
            self.grab().save(picture)
            self.close()
            if hidden:
                out_of_sight.append(hidden)

    module.main(top_block_cls=Grabbed)
    if out_of_sight:
        raise SystemExit(f"{out_of_sight[0]} pixels of the window are out of sight")


def canvas(flowgraph: str, picture: str) -> None:
    """Open the flowgraph in Companion and draw it as its menu entry Screen Capture does."""
    import gi

    gi.require_version("Gtk", "3.0")
    gi.require_version("PangoCairo", "1.0")
    from gi.repository import Gio, GLib
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

    # Otherwise a Companion that runs already would be told to open the file, and this one would wait.
    companion.set_flags(companion.get_flags() | Gio.ApplicationFlags.NON_UNIQUE)
    failures = []

    def draw() -> bool:
        main_window = getattr(companion, "main_window", None)
        page = main_window and main_window.current_page
        if not page:
            return True  # it is still opening the file: once more
        try:
            page.flow_graph.update()
            make_screenshot(page.flow_graph, picture)
        except Exception as error:  # whatever it is, GLib would print it and wait for ever
            failures.append(error)
        companion.quit()
        return False

    GLib.timeout_add(SETTLE_MS, draw)
    faulthandler.dump_traceback_later(DRAWN_S, exit=True)
    companion.run()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    _, what, source, target, *rest = sys.argv
    if what == "window":
        window(source, target, rest[0], rest[1], rest[2:])
    else:
        canvas(source, target)
