"""Exports the demo project and says what came out, by QuPath where there is one."""

from pathlib import Path

from qpmask import export_masks

here = Path(__file__).resolve().parent

if __name__ == "__main__":
    report = export_masks(here / "demo_project", "masks")
    for record in report:
        print(record.image, record.status, record.mask, record.error or "")
    print("all done" if report.ok else "something failed", f"in {report.seconds:.1f} s")
