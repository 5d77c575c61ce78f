"""QuPath's own ``LabeledImageServer`` and ``OMEPyramidWriter``, driven through paquo and JPype.

:mod:`.engine` reads the objects, :mod:`.labelserver` builds the label image,
:mod:`.countingserver` watches it, :mod:`.rendering` has QuPath write it to scratch files, in
:mod:`.bands`, and reads those back, tile by tile; :mod:`.losttiles` notices a tile that QuPath lost
on the way, so that it cannot pass for background. What QuPath draws is decided by
:class:`qpmask.engines.base.RenderJob` alone; the slide itself is never opened, since a label image
needs only its size.

The traps on this path and their causes are listed in CONTRIBUTING.md, "QuPath's export path".
"""

from qpmask.engines.qupath.engine import QuPathEngine, pixel_rules

__all__ = ["QuPathEngine", "pixel_rules"]
