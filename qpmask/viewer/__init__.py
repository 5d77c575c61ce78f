"""Looking at masks: which pixels to show, in which colours, upon which slide; as PNG or a window.

A :class:`~qpmask.viewer.viewport.Viewport` says what is shown on how many screen pixels;
:class:`~qpmask.viewer.scene.Scene` turns it into a picture and a legend, reading nothing else;
:mod:`~qpmask.viewer.png` saves that, :mod:`~qpmask.viewer.window` shows it. Only ``panel`` and
``window`` import matplotlib (the extra ``view``).
"""
