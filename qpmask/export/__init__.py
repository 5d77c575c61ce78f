"""``export``: all stages joined, from a project to a folder of masks.

``run`` does it for all images, ``processes`` in several processes, ``job`` for one image (draw,
write, check, publish); ``records`` says what became of an image, ``sidecar`` what its mask says of
itself; ``previews`` makes the pictures of a run.
"""
