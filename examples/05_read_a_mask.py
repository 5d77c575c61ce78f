"""Reads a mask lazily: its classes, areas, a region, an overview, and where a class is."""

import sys

from qpmask import open_mask

if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "masks/Prostate A.ome.tif"
    with open_mask(path) as mask:
        print(mask.shape, mask.dtype, mask.mpp, "µm a pixel,", len(mask.levels), "levels")
        for area in mask.areas().values():
            print(f"{area.label:3d}  {area.name:60s} {area.n_pixels:10,d} {area.area_mm2 or 0:.4f}")
        rows, cols = mask.shape
        print("the middle:", mask[rows // 2, cols // 2], mask.region(cols // 2, rows // 2, 9, 9, 3))
        print("an overview of", mask.thumbnail(max_px=256).shape)
        last = max(mask.present())
        inside = mask.binary(last)  # as lazy as the mask itself
        for tile in mask.tiles_with(last):
            part = inside[tile.y_px : tile.y_px + 512, tile.x_px : tile.x_px + 512]
            print(f"{mask.name_of(last)} at x {tile.x_px}, y {tile.y_px}: {part.mean():.1%}")
