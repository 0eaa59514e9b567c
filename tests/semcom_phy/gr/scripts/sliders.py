"""A flowgraph's window whose sliders are moved by lines on standard input, under GNU Radio's Python.

    sliders.py PROGRAM OPTIONS…

Each line ``NAME VALUE`` moves a slider and is answered by ``NAME VALUE``, the value that the flowgraph has then. The
line ``tables`` is answered by ``tables JSON``, the texts of all tables in the window: [name, value] of each row. The
level of each burst is told as ``level VALUE``, in dB of full scale. The window closes at the end of standard input.
"""
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import importlib.util
import json
import sys

import pmt
from gnuradio import gr
from PyQt5 import Qt


def tell(name: str, value: object) -> None:
    """One line in one piece: two threads do it, and `print` would write the words one by one."""
    sys.stdout.write(f"{name} {value}\n")
    sys.stdout.flush()


class Levels(gr.basic_block):
    """Tells the level of each burst that a burst receiver reports."""

    def __init__(self) -> None:
        gr.basic_block.__init__(self, "levels", None, None)
        self.message_port_register_in(pmt.intern("in"))
        self.set_msg_handler(pmt.intern("in"), self.handle)

    def handle(self, message: pmt.pmt_base) -> None:
        level = pmt.dict_ref(pmt.car(message), pmt.intern("level_dbfs"), pmt.PMT_NIL)
        if pmt.is_real(level):
            tell("level", pmt.to_double(level))


def main(program: str, options: list[str]) -> None:
    """Run the program as it would run itself, but for the sliders."""
    specification = importlib.util.spec_from_file_location("flowgraph", program)
    module = importlib.util.module_from_spec(specification)
    sys.argv = [program, *options]
    specification.loader.exec_module(module)
    (top_block, *_) = module.main.__defaults__

    class Moved(top_block):
        """The flowgraph with its window; lines are read where Qt handles a mouse, too."""

        def start(self, *arguments: int) -> None:
            if hasattr(self, "burst_receiver"):
                self.levels = Levels()
                self.msg_connect(self.burst_receiver, "status", self.levels, "in")
            super().start(*arguments)

        def show(self) -> None:
            super().show()
            self.lines = Qt.QSocketNotifier(sys.stdin.fileno(), Qt.QSocketNotifier.Read, self)
            self.lines.activated.connect(self.move_slider)

        def move_slider(self) -> None:
            line = sys.stdin.readline()
            if not line:
                self.lines.setEnabled(False)
                self.close()
                return
            if line == "tables\n":
                tell("tables", json.dumps(self.tables()))
                return
            name, value = line.split()
            getattr(self, f"_{name}_win").findChild(Qt.QDoubleSpinBox).setValue(float(value))
            tell(name, getattr(self, f"get_{name}")())

        def tables(self) -> list[tuple[str, str]]:
            layouts = [box.layout() for box in self.findChildren(Qt.QGroupBox)]
            widgets = [layout.itemAt(place).widget() for layout in layouts for place in range(layout.count())]
            texts = [widget.text() for widget in widgets if isinstance(widget, Qt.QLabel)]
            return list(zip(texts[0::2], texts[1::2], strict=True))

    module.main(top_block_cls=Moved)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
