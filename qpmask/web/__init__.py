"""Looking at masks, slides and patches in a browser: ``qpmask serve``.

From the bottom up: :mod:`~qpmask.web.catalog` (what was given becomes a list of images with their
masks, slide and patch file), :mod:`~qpmask.web.turns` (how many answers at a time),
:mod:`~qpmask.web.openfiles` (few files open at a time, opened again when they change),
:mod:`~qpmask.web.drawing` (masks that nobody exported), :mod:`~qpmask.web.image` (how the masks of
one image and its slide lie upon each other), :mod:`~qpmask.web.tiles` (labels as numbers, slides as
JPEG), :mod:`~qpmask.web.answers` (an address becomes an answer), :mod:`~qpmask.web.server` (HTTP:
token, limits, threads), :mod:`~qpmask.web.notebook`. ``page/`` is the page, in plain modules
without a build step.
"""

from qpmask.web.server import Server, serve

__all__ = ["Server", "serve"]
