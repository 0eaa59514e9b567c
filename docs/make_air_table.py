"""Remake the measurements in docs/air-interface.md: `python docs/make_air_table.py [NAME…]` (ten minutes on one core).

Without names all tables are made, else those named: ranges, fer, detection, false-alarms, speed. Writes
docs/figures/air_interface.json, and the tables between the markers of docs/air-interface.md. All numbers but
the speeds are deterministic in the seeds of `semcom_phy.waveform.ranges`. With ``--quick`` everything is measured
with a tenth of the bursts, to see that it works; nothing is written then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semcom_app.markdown import markdown_table
from semcom_phy.waveform import ranges

HERE = Path(__file__).parent
PAGE = HERE / "air-interface.md"
DATA = HERE / "figures" / "air_interface.json"


def measure(wanted: Sequence[str], quick: bool) -> dict[str, list[dict[str, Any]]]:
    """The wanted tables by name; all of them if none is named."""
    share = 0.1 if quick else 1.0
    measurements = {
        "ranges": lambda: ranges.range_rows(2.0 * share),
        "fer": lambda: ranges.frame_error_rows(bursts=round(800 * share)),
        "detection": lambda: ranges.detection_rows(bursts=round(3000 * share)),
        "false-alarms": lambda: ranges.false_alarm_rows(1e9 * share, 5e7 * share),
        "speed": lambda: ranges.speed_rows(2.0 * share),
    }
    tables = {}
    for name in wanted or measurements:
        function = measurements[name]
        tables[name] = function()
        print(name, *tables[name], sep="\n", flush=True)
    return tables


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table; columns are the keys of the first row."""
    names = list(rows[0])

    def cell(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return markdown_table(names, ([cell(row[name]) for name in names] for row in rows))


def main() -> None:
    """Measure and write."""
    quick = "--quick" in sys.argv[1:]
    tables = measure([argument for argument in sys.argv[1:] if argument != "--quick"], quick)
    if quick:
        return
    known = json.loads(DATA.read_text()) if DATA.exists() else {}
    DATA.write_text(json.dumps(known | tables, indent=1, ensure_ascii=False) + "\n")
    page = PAGE.read_text()
    for name, rows in tables.items():
        before, rest = page.split(f"<!-- table {name} -->\n")
        _, after = rest.split("<!-- end -->\n", 1)
        page = f"{before}<!-- table {name} -->\n{markdown(rows)}\n<!-- end -->\n{after}"
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
