"""QuPath's JVM in this process: found, started, its log read, its errors made ours.

``install`` finds QuPath, ``startup`` starts its JVM, ``logs`` takes over what it logs,
``javaerrors`` makes errors of ours of Java's. Only this room and :mod:`qpmask.engines.qupath`
import paquo and jpype.
"""

from qpmask.engines.jvm.install import (
    GET_IT,
    QuPathInstall,
    download_functions,
    find_qupath,
    is_named,
    search_places,
)
from qpmask.engines.jvm.javaerrors import java_errors, translate
from qpmask.engines.jvm.logs import catcher, set_level
from qpmask.engines.jvm.startup import RunningQuPath, heap, start

__all__ = [
    "GET_IT",
    "QuPathInstall",
    "RunningQuPath",
    "catcher",
    "download_functions",
    "find_qupath",
    "heap",
    "is_named",
    "java_errors",
    "search_places",
    "set_level",
    "start",
    "translate",
]
