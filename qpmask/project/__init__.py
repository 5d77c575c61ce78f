"""Stage 1: QuPath's project, from its JSON files alone; no JVM, nothing written.

``project`` opens it (project -> images), ``imagejson`` tells what the JSON says of an image,
``serverchain`` where an image lies in its file, ``inventory`` what is annotated in it (it reads the
data file, and is the one module here that knows engines); ``readonce`` keeps what it read.
"""

from qpmask.project.project import (
    BACKUP_FILE,
    ImageEntry,
    Project,
    ProjectClass,
    composed_form,
    find_path,
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
