"""A project's objects as GeoJSON, read without Java: what ``qpmask annotations`` runs.

``rings`` brings ROIs to the geometries that QuPath makes of them, ``convert`` objects of a data
file to a table, ``images`` are the images of a project and what is made of them.
"""
