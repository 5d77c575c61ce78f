"""A mask as polygons, exact on the corners of its pixels: ``qpmask.trace``.

From the bottom up::

    library       the kernels' library, and the record that they work in
    sweep         kernel: rows of runs -> chains of corners -> rings; the page to read
    rings         kernel: a ring that touches itself is cut into several
    striptracer   drives them strip by strip; all rings of a plane
    source        planes of mask files and arrays as strips of runs
    assemble      rings -> polygons with holes, one a region or one a label
    labelmeaning  what a mask says of its labels: classes, instances, where it lies
    simplify      fewer vertices, with borders that neighbours share
    trace         all of it: a mask -> objects
"""
