"""Saves a picture of a part of a mask upon its slide, with its legend. Needs the extra "view"."""

import sys
from pathlib import Path

from qpmask.viewer.opening import open_scene
from qpmask.viewer.png import save_picture
from qpmask.viewer.viewport import picture_viewport

slides = Path(__file__).resolve().parent / "demo_project" / "slides"

if __name__ == "__main__":
    mask = Path(sys.argv[1] if len(sys.argv) > 1 else "masks/Prostate A.ome.tif")
    slide = Path(sys.argv[2]) if len(sys.argv) > 2 else slides / "A.ome.tif"
    with open_scene(mask, slide_path=slide, opacity=0.5) as scene:
        part = picture_viewport(scene.size, region=(600, 500, 1800, 1200), downsample=2)
        for row in scene.picture(part).legend:
            print(row.label, row.name, row.color, row.percent)
        print("picture.png:", save_picture(scene, part, Path("picture.png")), "pixels")
