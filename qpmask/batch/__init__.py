"""Long commands over many things: skip what holds, do the rest, record all.

``batch`` runs a :class:`Work` over its items, ``planned`` is a run as :mod:`qpmask.cluster` takes
it to do it in several processes, ``report`` is what all reports share; listeners are told
:mod:`qpmask.events`. The work itself says what stands, does one item, and makes a record of one
that failed; whatever goes wrong with one item does not stop the others.
"""

from qpmask.batch.batch import Batch, EndsRun, Reporter, Work

__all__ = ["Batch", "EndsRun", "Reporter", "Work"]
