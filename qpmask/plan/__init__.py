"""Stage 3: project + class map + options become jobs and findings. The dry run; nothing is drawn.

Every annotation of every selected image is read (without Java) before the first pixel is written,
so that a class that the map lacks stops the run at its beginning and not in its 200th image.

``runplan`` plans all images: ``classcheck`` compares the class map with the classes in use,
``imageplan`` decides what is drawn of one image. ``maskfingerprint`` holds as plain data what
decides a mask, and ``skipping`` compares it with what an earlier run left.
"""

from __future__ import annotations

from qpmask.plan.classcheck import count_classes
from qpmask.plan.imageplan import BOUNDARY_NAME, LEFT_OUT, NO_SLIDE, NOTHING, UNCLASSIFIED_NAME
from qpmask.plan.maskfingerprint import fingerprint, same_fingerprint
from qpmask.plan.planrecords import ImagePlan, LegendRow, Plan, Standing
from qpmask.plan.runplan import ReadImages, make_plan, read_image, read_images
from qpmask.plan.skipping import blanked_masks, foreign_masks, look_at

__all__ = [
    "BOUNDARY_NAME",
    "LEFT_OUT",
    "NOTHING",
    "NO_SLIDE",
    "UNCLASSIFIED_NAME",
    "ImagePlan",
    "LegendRow",
    "Plan",
    "ReadImages",
    "Standing",
    "blanked_masks",
    "count_classes",
    "fingerprint",
    "foreign_masks",
    "look_at",
    "make_plan",
    "read_image",
    "read_images",
    "same_fingerprint",
]
