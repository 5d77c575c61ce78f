"""GeoJSON as QuPath writes and reads it, from and to :class:`qpmask.imageobjects.ObjectTable`."""
