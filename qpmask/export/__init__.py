"""``export``: all stages joined, from a project to a folder of masks.

``run`` does it for all images, ``processes`` in several processes, ``job`` for one image (draw,
write, check, publish), ``previews`` makes the pictures of a run.
"""
