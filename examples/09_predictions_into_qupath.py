"""A prediction becomes a mask, the mask annotations in QuPath, and these, corrected, a mask again.

Needs QuPath 0.6 or later, which should be closed; see 'qpmask doctor'. The project is a copy.
"""

import shutil
from pathlib import Path

import numpy as np

from qpmask import (
    ImportOptions,
    MaskWriter,
    export_masks,
    export_options,
    import_objects,
    open_mask,
    open_project,
)

here = Path(__file__).resolve().parent
CLASSES = {1: "Stroma", 2: "Tumor"}


def predict(height: int, width: int) -> np.ndarray:
    """A stand-in for a model: a label for each pixel."""
    rows, cols = np.mgrid[:height, :width]
    tumor = np.hypot(rows - 900, cols - 1200) < 350 + 40 * np.sin(np.arctan2(rows - 900, cols) * 40)
    stroma = np.hypot(rows - 1000, cols - 1600) < 700
    return np.where(tumor, 2, stroma.astype(np.uint8)).astype(np.uint8)


if __name__ == "__main__":
    shutil.copytree(here / "demo_project", "project", dirs_exist_ok=True)
    image = open_project("project").images[0]
    width, height = image.size.width_px, image.size.height_px

    # 1. predict, and write as a mask that has the image's name
    Path("predictions").mkdir(exist_ok=True)
    path = Path("predictions", f"{image.name}.ome.tif")
    with MaskWriter(path, width, height, classes=CLASSES) as mask:
        mask.write(0, 0, predict(height, width))

    # 2. into QuPath, in place of the annotations of these classes; without `force` it is refused
    #    while QuPath runs, which cannot have this new copy of the project open
    options = ImportOptions(replace="class", force=True)
    report = import_objects(path, "project", options)
    for record in report:
        print(record.name, record.status, f"{record.added} annotations", record.error or "")
    print("the old data file is in", report.backup)

    # 3. look at them in QuPath, correct them, save, close; then
    only = export_options(images=[image.id], unknown="ignore")
    export_masks("project", "corrected", classes={"Stroma": 1, "Tumor": 2}, options=only)
    with open_mask(Path("corrected", path.name)) as made, open_mask(path) as predicted:
        same = np.mean(np.asarray(made[:, :]) == np.asarray(predicted[:, :]))
        print(f"{same:.2%} of the pixels are as predicted")
