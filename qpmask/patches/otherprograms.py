"""Patch files as other programs want them: views that point to ours, or copies where they cannot.

CLAM and TRIDENT read ``features`` and ``coords`` at the root of a file, where ours has a group of
features: a view of 1 kB links to both. A link counts from the view's folder, so that both may move
together. CLAM's step of features wants ``patch_level`` and ``patch_size`` in pixels of that level
on ``coords``, STAMP wants micrometres: those coordinates are copied. CLAM's training wants tensors:
they are written beside ``h5_files``, as ``pt_files/NAME.pt``, where PyTorch is installed.

========  =======================================  =============================================
program   coordinates                              features, for each in the file
========  =======================================  =============================================
clam      ``clam/patches/NAME.h5``                 ``clam/features_FEATURES/h5_files/NAME.h5``
trident   ``trident/<mag>x_<size>px_<overlap>px_overlap/patches/NAME_patches.h5``, and there
          ``features_FEATURES/NAME.h5``
stamp     (none of its own)                        ``stamp/FEATURES/NAME.h5``
========  =======================================  =============================================
"""

from __future__ import annotations

from pathlib import Path

from qpmask.outputs import OutputWriter
from qpmask.patches import h5file
from qpmask.patches.table import PatchTable
from qpmask.patches.tensorfile import can_write_tensors, still_holds, write_tensor


def write_views(patch_file: Path, program: str, writer: OutputWriter) -> tuple[str, ...]:
    """Write what a program wants of a patch file.

    Parameters
    ----------
    patch_file : Path
        Ours, in ``patches`` of the output folder.
    program : str
        ``clam``, ``trident`` or ``stamp``.
    writer : OutputWriter
        Writes into the output folder.

    Returns
    -------
    tuple of str
        The files, below the output folder.
    """
    table = h5file.read_patch_file(patch_file)
    name = patch_file.stem
    made = []
    for target, features in view_targets(patch_file, program, table):
        path = writer.path / target
        is_tensor = path.suffix == ".pt"
        if is_tensor and still_holds(path, patch_file):
            made.append(target)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = writer.work_file(f"{name}.view{path.suffix}")
        if is_tensor:
            assert features is not None
            write_tensor(part, patch_file, features)
        else:
            h5file.write_view(part, h5file.View(program, patch_file, path.parent, features), table)
        made.append(str(writer.publish(part, target).relative_to(writer.path)))
    return tuple(made)


def view_targets(patch_file: Path, program: str, table: PatchTable) -> list[tuple[str, str | None]]:
    """Paths of views below the output folder, and which features each shows."""
    name, features = patch_file.stem, h5file.feature_names(patch_file)
    found = table.attributes
    if program == "clam":
        return [
            (f"clam/patches/{name}.h5", None),
            *((f"clam/features_{f}/h5_files/{name}.h5", f) for f in features),
            *(
                (f"clam/features_{f}/pt_files/{name}.pt", f)
                for f in features
                if can_write_tensors()
            ),
        ]
    if program == "trident":
        folder = (
            f"trident/{found['target_magnification']:g}x_{found['patch_size']}px_"
            f"{found['overlap']}px_overlap"
        )
        return [
            (f"{folder}/patches/{name}_patches.h5", None),
            *((f"{folder}/features_{f}/{name}.h5", f) for f in features),
        ]
    return [(f"stamp/{f}/{name}.h5", f) for f in features]
