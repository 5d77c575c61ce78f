"""Tables of objects -> files: :func:`write_geojson`."""

from qpmask.objectfiles.writing import write_geojson, write_objects

__all__ = ["write_geojson", "write_objects"]
