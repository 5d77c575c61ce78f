"""Stage 7: what was done, as records that JSON and CSV can hold.

``report`` is a record an image and all of them; ``areas`` the table of areas by class; ``hidden``
the objects that left no pixel; ``foldercheck`` reads back a whole folder, for ``qpmask check``.
"""

from qpmask.report.report import CSV_COLUMNS, STATUSES, ImageRecord, Report, Status

__all__ = ["CSV_COLUMNS", "STATUSES", "ImageRecord", "Report", "Status"]
