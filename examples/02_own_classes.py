"""Exports two classes at a quarter of the resolution, leaving all others out on purpose."""

from pathlib import Path

from qpmask import ClassEntry, ClassMap, export_masks, export_options

here = Path(__file__).resolve().parent

# Draw order: Tumor comes last, so it covers Stroma where the two overlap.
classes = ClassMap(
    (
        ClassEntry(1, "Stroma", (150, 200, 150)),
        ClassEntry(2, "Tumor", (200, 0, 0), aliases=("Tumor: Positive",)),
    )
)
options = export_options(downsample=4, unknown="ignore", images=("Prostate A", "Prostate B"))

if __name__ == "__main__":
    report = export_masks(here / "demo_project", "masks-two-classes", classes, options)
    for record in report:
        print(record.image, record.width_px, record.height_px, dict(record.pixels))
        for warning in record.warnings:
            print("  ", warning)
