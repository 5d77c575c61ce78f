"""Engines: what turns annotations into label pixels. :mod:`qpmask.engines.base` says what one is."""
