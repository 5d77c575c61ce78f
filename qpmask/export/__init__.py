"""``export``: all stages joined, from a project to a folder of masks.

``run`` joins them: ``precheck`` settles the plan, and whether the folder may be used; ``images``
goes over all images (``processes``: in several processes), ``job`` makes one mask (draw, write,
check, publish), ``acceptance`` looks at it before it has its name, ``runreport`` writes what a run
leaves beside its masks. ``records`` says what became of an image, ``sidecar`` what its mask says of
itself; ``previews`` makes the pictures of a run; ``planned`` is an export by many machines.
"""
