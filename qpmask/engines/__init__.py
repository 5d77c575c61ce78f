"""What turns annotations into label pixels; :mod:`qpmask.engines.base` says what an engine is."""
