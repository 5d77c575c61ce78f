"""Saves a picture of a part of a mask upon its slide, with its legend. Needs the extra "view"."""

import sys
from pathlib import Path

from qpmask import save_picture

slides = Path(__file__).resolve().parent / "demo_project" / "slides"

if __name__ == "__main__":
    mask = sys.argv[1] if len(sys.argv) > 1 else "masks/Prostate A.ome.tif"
    slide = sys.argv[2] if len(sys.argv) > 2 else slides / "A.ome.tif"
    part = (600, 500, 1800, 1200)  # x, y, width and height in pixels of the mask
    size = save_picture(mask, "picture.png", slide=slide, region=part, downsample=2, opacity=0.5)
    print("picture.png:", size, "pixels")
