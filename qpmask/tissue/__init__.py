"""Where tissue is: a slide, a mask or polygons become the exact share of tissue in any rectangle.

``picture`` makes a small picture of a slide, ``thresholds`` finds the tissue in it by thresholds
alone, ``sam2`` by a model (``sam2_meta``: from files of Meta's); ``components`` drops what is too
small, ``area`` holds the result and measures rectangles of it; ``polygons`` does the same for
GeoJSON.
"""

from qpmask.tissue.area import TissueArea
from qpmask.tissue.smallpicture import Picture, slide_picture
from qpmask.tissue.thresholds import TissueRules, find_tissue

__all__ = ["Picture", "TissueArea", "TissueRules", "find_tissue", "slide_picture"]
