"""The same commands on many machines: plan once, work in shares, collect one report.

:mod:`~qpmask.cluster.planfile` is what will be done, as a file with labels and options fixed;
:mod:`~qpmask.cluster.shares` cuts it by what images are thought to cost;
:mod:`~qpmask.cluster.work` does a share, beside any number of others in one folder (claims:
:mod:`qpmask.outputs.claims`), and leaves a record an image (:mod:`~qpmask.cluster.itemrecords`);
:mod:`~qpmask.cluster.collect` makes the one report of the records, :mod:`~qpmask.cluster.status`
says how far it is, and :mod:`~qpmask.cluster.slurm` hands all of it to SLURM.
"""

from qpmask.cluster.collect import collect
from qpmask.cluster.planfile import PlanFile, plan_to_file, read_plan_file
from qpmask.cluster.status import PlanStatus, plan_status
from qpmask.cluster.work import work_on

__all__ = [
    "PlanFile",
    "PlanStatus",
    "collect",
    "plan_status",
    "plan_to_file",
    "read_plan_file",
    "work_on",
]
