"""What a run leaves in its folder: what it is called, and how it appears whole or not at all.

``names`` names masks and the files beside them, ``files`` writes, hashes and reads files,
``folder`` is the output folder with its lock.
"""

from qpmask.outputs.files import (
    csv_text,
    file_mark,
    file_sha256,
    instance_classes,
    output_error,
    path_bytes,
    path_sha256,
    read_json,
    read_sidecar,
    sync_folder,
    write_file,
    writing,
)
from qpmask.outputs.folder import OutputFolder, OutputWriter
from qpmask.outputs.names import (
    AREAS_CSV,
    CLASSES_FILE,
    CONTACT_SHEET,
    INSTANCES_SUFFIX,
    MASK_SUFFIX,
    MASK_SUFFIXES,
    PREVIEW_FOLDER,
    REPORT_CSV,
    REPORT_JSON,
    SIDECAR_SUFFIX,
    SUFFIX_OF_FORMAT,
    mask_names,
    mask_stem,
    slide_stem,
)

__all__ = [
    "AREAS_CSV",
    "CLASSES_FILE",
    "CONTACT_SHEET",
    "INSTANCES_SUFFIX",
    "MASK_SUFFIX",
    "MASK_SUFFIXES",
    "PREVIEW_FOLDER",
    "REPORT_CSV",
    "REPORT_JSON",
    "SIDECAR_SUFFIX",
    "SUFFIX_OF_FORMAT",
    "OutputFolder",
    "OutputWriter",
    "csv_text",
    "file_mark",
    "file_sha256",
    "instance_classes",
    "mask_names",
    "mask_stem",
    "output_error",
    "path_bytes",
    "path_sha256",
    "read_json",
    "read_sidecar",
    "slide_stem",
    "sync_folder",
    "write_file",
    "writing",
]
