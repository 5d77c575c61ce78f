"""Long commands on many machines: plan once, work in shares, collect one report.

What is done is a :class:`qpmask.batch.planned.PlannedRun`, of which each command has one in its
room; here nobody knows what an item is. From the bottom up: :mod:`~qpmask.cluster.records` is what
became of each item; :mod:`~qpmask.cluster.queue` the order in which a task takes them;
:mod:`~qpmask.cluster.planfile` such a run as a file; :mod:`~qpmask.cluster.work` does
them, beside any number of others in one folder (claims: :mod:`qpmask.outputs.claims`);
:mod:`~qpmask.cluster.collect` makes the one report of the records, :mod:`~qpmask.cluster.status`
says how far it is. On top of it :mod:`~qpmask.cluster.slurm` hands a plan to SLURM,
:mod:`~qpmask.cluster.dasktasks` to Dask.
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
