"""A USRP that exists in software alone: what the project calls of gr-uhd's blocks, with calls written down."""

from __future__ import annotations

from typing import Any


class MetaRange:
    """UHD's range of ranges, as gr-uhd shows it."""

    def __init__(self, *ends: float) -> None:
        self._ends = ends

    def _end(self, index: int) -> float:
        if not self._ends:
            raise RuntimeError("ValueError: meta-range cannot be empty")
        return self._ends[index]

    def start(self) -> float:
        return self._end(0)

    def stop(self) -> float:
        return self._end(1)

    def step(self) -> float:
        return 0.0


class UsrpDouble:
    """Settings of a USRP with one channel; `calls` lists what was set, in order."""

    def prepare(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.set = {"samp_rate": 1e6, "gain": 0.0, "antenna": "TX/RX", "bandwidth": 56e6, "clock_source": "internal"}
        self.set |= {"time_source": "internal", "center_freq": 1e9, "subdev_spec": "A:A"}

    def _store(self, name: str, value: Any, *place: int) -> None:
        self.calls.append((name, value, *place))
        self.set[name] = value

    def set_subdev_spec(self, spec: str, board: int) -> None:
        if spec != "A:B":
            raise RuntimeError("LookupError: IndexError: no such subdevice")
        self._store("subdev_spec", spec, board)

    def set_clock_source(self, name: str, board: int) -> None:
        self._store("clock_source", name, board)

    def set_time_source(self, name: str, board: int) -> None:
        self._store("time_source", name, board)

    def set_samp_rate(self, rate: float) -> None:
        self._store("samp_rate", rate * (1 + 1e-9))  # what it reaches is not always what was asked

    def set_antenna(self, name: str, channel: int) -> None:
        self._store("antenna", name, channel)

    def set_center_freq(self, request: Any, channel: int) -> None:
        self._store("center_freq", request, channel)

    def set_bandwidth(self, value: float, channel: int) -> None:
        self._store("bandwidth", value, channel)

    def set_gain(self, value: float, channel: int) -> None:
        self._store("gain", value, channel)

    def get_center_freq(self, channel: int) -> float:
        request = self.set["center_freq"]
        return float(request[0]) if isinstance(request, tuple) else float(request)

    def get_samp_rate(self) -> float:
        return float(self.set["samp_rate"])

    def get_gain(self, channel: int) -> float:
        return float(self.set["gain"])

    def get_antenna(self, channel: int) -> str:
        return str(self.set["antenna"])

    def get_bandwidth(self, channel: int) -> float:
        return float(self.set["bandwidth"])

    def get_clock_source(self, board: int) -> str:
        return str(self.set["clock_source"])

    def get_time_source(self, board: int) -> str:
        return str(self.set["time_source"])

    def get_subdev_spec(self, board: int) -> str:
        return str(self.set["subdev_spec"])

    def get_freq_range(self, channel: int) -> MetaRange:
        return MetaRange(50e6, 6e9)

    def get_samp_rates(self) -> MetaRange:
        return MetaRange(62.5e3, 56e6)

    def get_gain_range(self, channel: int) -> MetaRange:
        return MetaRange(0.0, 89.75)

    def get_bandwidth_range(self, channel: int) -> MetaRange:
        return MetaRange()

    def get_antennas(self, channel: int) -> tuple[str, ...]:
        return ("TX/RX", "RX2")

    def get_clock_sources(self, board: int) -> list[str]:
        return ["internal", "external", "gpsdo"]

    def get_time_sources(self, board: int) -> list[str]:
        return ["none", "internal", "external", "gpsdo"]
