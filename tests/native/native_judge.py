"""Masks rendered by a real QuPath, to compare with: objects in, tiles of LabeledImageServer out.

:func:`tiles` needs QuPath's JVM to run in this process (``qpmask.engines.jvm.start``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qpmask.engines.native.plane import PlaneOptions
from qpmask.engines.native.shapes import Kind, Shapes
from qpmask.geometry import TileGrid


@dataclass(frozen=True)
class Drawing:
    """One object: its kind, its label (classes are drawn in the order of labels) and coordinates.

    ``data`` is an array of vertices (n, 2) for POLYGON, POLYLINE and POINTS, a list of such rings
    for a GEOMETRY (first ring outer, then holes; a list of those for several polygons), and four
    numbers for the others: x, y, width, height, or x1, y1, x2, y2 for a LINE.
    """

    kind: Kind
    label: int
    data: Any


def to_shapes(drawings: Sequence[Drawing], labels: Sequence[int] | None = None) -> Shapes:
    """Shapes for the native renderer; ``labels`` is the order in which they are drawn."""
    parts = []
    for i, d in enumerate(drawings):
        rank = d.label if labels is None else list(labels).index(d.label)
        if d.kind in (Kind.POLYGON, Kind.POLYLINE):
            xy = np.asarray(d.data, np.float32)
            parts.append(Shapes.rings(d.kind, xy, [0, len(xy)], d.label, rank, source=[i]))
        elif d.kind is Kind.GEOMETRY:
            rings = [np.asarray(ring, np.float64) for polygon in d.data for ring in polygon]
            starts = np.cumsum([0] + [len(r) for r in rings])
            parts.append(
                Shapes.geometries(
                    np.concatenate(rings), starts, [0, len(rings)], d.label, rank, source=[i]
                )
            )
        elif d.kind is Kind.POINTS:
            parts.append(Shapes.point_sets(d.data, [0, len(d.data)], d.label, rank, source=[i]))
        else:
            x, y, w, h = d.data
            box = (x, y, w, h) if d.kind is Kind.LINE else (x, y, x + w, y + h)
            parts.append(Shapes.boxes(d.kind, box, d.label, rank, source=[i]))
    return Shapes.concatenate(parts)


def assemble(grid: TileGrid, tiles: Iterable[Any]) -> np.ndarray:
    """Tiles, row by row, as one mask."""
    mask = np.full((grid.size.height_px, grid.size.width_px), -1, np.int32)
    tile_px = grid.tile_px
    for (row, col), tile in zip(grid, tiles, strict=True):
        height, width = grid.shape(row, col)
        part = mask[row * tile_px : row * tile_px + height, col * tile_px : col * tile_px + width]
        part[:] = tile
    return mask


def _java(name: str) -> Any:
    import jpype

    return jpype.JClass(name)


def _roi(d: Drawing) -> Any:
    import jpype

    rois = _java("qupath.lib.roi.ROIs")
    plane = _java("qupath.lib.regions.ImagePlane").getDefaultPlane()
    if d.kind in (Kind.POLYGON, Kind.POLYLINE, Kind.POINTS):
        xy = np.asarray(d.data, np.float64)
        x = jpype.JArray(jpype.JDouble)(np.ascontiguousarray(xy[:, 0]))
        y = jpype.JArray(jpype.JDouble)(np.ascontiguousarray(xy[:, 1]))
        make = {
            Kind.POLYGON: rois.createPolygonROI,
            Kind.POLYLINE: rois.createPolylineROI,
            Kind.POINTS: rois.createPointsROI,
        }[d.kind]
        return make(x, y, plane)
    if d.kind is Kind.GEOMETRY:
        return _geometry_roi(d.data, plane)
    make = {
        Kind.RECTANGLE: rois.createRectangleROI,
        Kind.ELLIPSE: rois.createEllipseROI,
        Kind.LINE: rois.createLineROI,
    }[d.kind]
    return make(*[float(v) for v in d.data], plane)


def _geometry_roi(polygons: Any, plane: Any) -> Any:
    """A GeometryROI, read from WKB as a project is read, so that coordinates are rounded."""
    import jpype

    tools = _java("qupath.lib.roi.GeometryTools")
    factory = _java("org.locationtech.jts.geom.GeometryFactory")()
    coordinate = _java("org.locationtech.jts.geom.Coordinate")

    def ring(points: Any) -> Any:
        xy = [coordinate(float(x), float(y)) for x, y in points]
        if tuple(points[0]) != tuple(points[-1]):
            xy.append(coordinate(float(points[0][0]), float(points[0][1])))
        return factory.createLinearRing(jpype.JArray(coordinate)(xy))

    linear = _java("org.locationtech.jts.geom.LinearRing")
    made = [
        factory.createPolygon(ring(p[0]), jpype.JArray(linear)([ring(h) for h in p[1:]]))
        for p in polygons
    ]
    polygon = _java("org.locationtech.jts.geom.Polygon")
    geometry = made[0]
    if len(made) > 1:
        geometry = factory.createMultiPolygon(jpype.JArray(polygon)(made))
    bytes_ = _java("org.locationtech.jts.io.WKBWriter")().write(geometry)
    reader = _java("org.locationtech.jts.io.WKBReader")(tools.getDefaultFactory())
    read = reader.read(bytes_)
    # The class itself, since GeometryTools turns simple polygons into other ROIs.
    constructor = _java("qupath.lib.roi.GeometryROI").class_.getDeclaredConstructors()
    for c in constructor:
        if c.getParameterCount() == 2:
            c.setAccessible(True)
            return c.newInstance(read, plane)
    raise AssertionError("GeometryROI has no constructor for a geometry and a plane")


def tiles(
    drawings: Sequence[Drawing],
    options: PlaneOptions,
    labels: Sequence[int] | None = None,
    only: Sequence[tuple[int, int]] | None = None,
) -> Iterator[np.ndarray]:
    """QuPath's tiles, row by row, or those of ``only``; ``labels`` is the order of adding."""
    import jpype

    server = _server(drawings, options, labels)
    none = jpype.JObject(None, jpype.JArray(jpype.JInt))
    grid = options.tile_grid
    for row, col in only if only is not None else grid:
        height, width = grid.shape(row, col)
        region = _java("qupath.lib.regions.ImageRegion").createInstance(
            col * grid.tile_px, row * grid.tile_px, width, height, 0, 0
        )
        request = _java("qupath.lib.images.servers.TileRequest").createInstance(server, 0, region)
        image = server.readRegion(request.getRegionRequest())
        assert (image.getHeight(), image.getWidth()) == (height, width)
        samples = image.getRaster().getSamples(0, 0, width, height, 0, none)
        yield np.array(samples, np.int32).reshape(height, width)
    server.close()


def _server(
    drawings: Sequence[Drawing], options: PlaneOptions, labels: Sequence[int] | None
) -> Any:
    import jpype

    servers = "qupath.lib.images.servers."
    hierarchy = _java("qupath.lib.objects.hierarchy.PathObjectHierarchy")()
    objects = _java("qupath.lib.objects.PathObjects")
    path_class = _java("qupath.lib.objects.classes.PathClass")
    made = _java("java.util.ArrayList")()
    for d in drawings:
        made.add(objects.createAnnotationObject(_roi(d), path_class.fromString(f"class {d.label}")))
    hierarchy.getRootObject().addChildObjects(made)
    metadata = (
        _java(servers + "ImageServerMetadata$Builder")()
        .width(options.image.width_px)
        .height(options.image.height_px)
        .rgb(True)
        .name("dummy")
        .channels(_java(servers + "ImageChannel").getDefaultRGBChannels())
        .build()
    )
    server = jpype.JProxy(
        servers + "ImageServer",
        dict={
            "getMetadata": lambda: metadata,
            "getPath": lambda: "dummy",
            "getWidth": lambda: options.image.width_px,
            "getHeight": lambda: options.image.height_px,
            "nResolutions": lambda: 1,
            "isRGB": lambda: True,
            "close": lambda: None,
        },
    )
    data = _java("qupath.lib.images.ImageData")(server, hierarchy)
    build = _java(servers + "LabeledImageServer$Builder")(data)
    build = (
        build.backgroundLabel(options.background)
        .tileSize(options.tile_px)
        .downsample(options.downsample)
        .lineThickness(options.line_thickness)
        .grayscale()
    )
    for label in labels if labels is not None else sorted({d.label for d in drawings}):
        build = build.addLabel(f"class {label}", label)
    if options.boundary_label is not None:
        build = build.setBoundaryLabel("boundary", options.boundary_label)
    return build.build()
