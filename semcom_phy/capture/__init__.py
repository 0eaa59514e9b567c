"""Recordings of complex baseband samples: write SigMF, read SigMF and raw files, replay in real time.

`Recorder` writes a SigMF recording with one annotation per burst (`BurstAnnotation`); `open_recording` reads
SigMF pairs, archives and raw files through a memory map; `Pacer` hands chunks out at the pace of the sample rate.
docs/captures.md describes the files and the ``semcom:`` extension.
"""

from semcom_phy.capture.bursts import EXTENSION_NAME, EXTENSION_VERSION, BurstAnnotation
from semcom_phy.capture.metadata import Annotation
from semcom_phy.capture.pacing import Pacer
from semcom_phy.capture.reader import Recording, Segment, open_recording
from semcom_phy.capture.recorder import Recorder, RecordingInfo
from semcom_phy.capture.sample_formats import READABLE, WRITABLE

__all__ = [
    "EXTENSION_NAME",
    "EXTENSION_VERSION",
    "READABLE",
    "WRITABLE",
    "Annotation",
    "BurstAnnotation",
    "Pacer",
    "Recorder",
    "Recording",
    "RecordingInfo",
    "Segment",
    "open_recording",
]
