"""A project's objects as GeoJSON, read without Java: what ``qpmask annotations`` runs.

``rings`` brings ROIs to the geometries that QuPath makes of them, ``exact`` to those of which the
same ROIs are made again, ``convert`` objects of a data file to a table, ``images`` are the images
of a project and what is made of them.
"""
