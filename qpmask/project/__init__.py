"""Stage 1: QuPath's project, from its JSON files alone; no JVM, nothing written.

``project`` opens it (project -> images), ``imagejson`` tells what the JSON says of an image,
``serverchain`` where an image lies in its file; ``findfiles`` finds files by the names that are
stored; ``inventory`` says what is annotated in an image (it reads the data file, and is the one
module here that knows engines), ``readonce`` keeps what it read.
"""

from qpmask.project.findfiles import composed_form, find_path
from qpmask.project.project import (
    BACKUP_FILE,
    ImageEntry,
    Project,
    ProjectClass,
    open_project,
    read_class_list,
)

__all__ = [
    "BACKUP_FILE",
    "ImageEntry",
    "Project",
    "ProjectClass",
    "composed_form",
    "find_path",
    "open_project",
    "read_class_list",
]
