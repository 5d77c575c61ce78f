"""Patches of the demo project, with the share of every class, and their pixels.

Run from anywhere: ``python examples/08_patches.py`` (needs the extra ``patches``).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from qpmask import make_patches, open_patches, patch_options

PROJECT = Path(__file__).resolve().parent / "demo_project"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = patch_options(patch_size=128, target_mpp=1.0, engine="native", min_coverage=0.3)
        report = make_patches(PROJECT, folder, options)
        for record in report:
            print(f"{record.name}: {record.status}, {record.patches or 0} patches")
            if not record.ok:
                continue
            with open_patches(Path(folder) / record.file) as patches:
                best = patches.fractions.sum(axis=1).argmax()
                found = dict(zip(patches.classes, patches.fractions[best].tolist(), strict=True))
                print("  most of:", {name: round(share, 3) for name, share in found.items()})
                for rows, batch in patches.iter_batches(16):
                    print(
                        f"  patches {rows.start} to {rows.stop - 1}: {batch.shape}, "
                        f"mean colour {batch.mean(axis=(0, 1, 2)).round().tolist()}"
                    )


if __name__ == "__main__":
    main()
