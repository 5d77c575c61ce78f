"""Long commands in several processes, on this machine or on many.

What is done is a :class:`qpmask.batch.planned.Run`; here nobody knows what an item is. In every
process a :class:`~qpmask.cluster.workbench.Bench` does items. Where nobody hands them out alone, it
is a :class:`~qpmask.cluster.workbench.SharedBench`, beside any number of others: it claims an item
(:mod:`qpmask.outputs.claims`), does it, and leaves its record (:mod:`~qpmask.cluster.records`).

Tasks plan once, work in shares and collect one report: :mod:`~qpmask.cluster.planfile` is a command
as a file, :mod:`~qpmask.cluster.queue` the order in which a task takes items,
:mod:`~qpmask.cluster.work` a task, :mod:`~qpmask.cluster.collect` makes the report of the records,
:mod:`~qpmask.cluster.status` says how far it is, :mod:`~qpmask.cluster.slurm` hands one to SLURM.

Elsewhere a :mod:`~qpmask.cluster.coordinator` hands items out, to
:mod:`~qpmask.cluster.processes` of this machine (:mod:`~qpmask.cluster.workerprocess` is what goes
on in one) or to Dask (:mod:`~qpmask.cluster.dasktasks`).
"""

from qpmask.cluster.collect import collect
from qpmask.cluster.planfile import PlanFile, read_plan_file, write_plan
from qpmask.cluster.status import PlanStatus, plan_status
from qpmask.cluster.work import work_on

__all__ = [
    "PlanFile",
    "PlanStatus",
    "collect",
    "plan_status",
    "read_plan_file",
    "work_on",
    "write_plan",
]
