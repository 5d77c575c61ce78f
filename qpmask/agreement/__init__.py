"""How far two masks agree: ``qpmask.compare_masks`` and what it returns.

Two files go in. :mod:`~qpmask.agreement.pairing` says which pixel of one belongs to which of the
other, :mod:`~qpmask.agreement.pixels` counts pairs of labels in one pass,
:mod:`~qpmask.agreement.scores` makes Dice, IoU and kappa of the counts, and
:mod:`~qpmask.agreement.tables` rows for CSV files.
"""

from qpmask.agreement.comparison import MaskComparison, compare_masks
from qpmask.agreement.scores import Agreement, ClassScore

__all__ = ["Agreement", "ClassScore", "MaskComparison", "compare_masks"]
