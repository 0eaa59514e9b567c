"""What a person looks at after a transmission: the HTML report and the side-by-side picture."""

from semcom_app.report.figures import comparison_png
from semcom_app.report.maps import maps_png
from semcom_app.report.page import write_report

__all__ = ["comparison_png", "maps_png", "write_report"]
