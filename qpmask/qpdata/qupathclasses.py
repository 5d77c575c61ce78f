"""The classes of QuPath and Java in a data file, by name: what is taken of their objects."""

from __future__ import annotations

from typing import Final, NamedTuple

from qpmask.imageobjects import BOXES, ObjectKind, RoiKind
from qpmask.qpdata.kernel import library as k

_LIST_ROLES: Final = {
    "names": k.NAMES, "values": k.NUMBERS, "list": k.LIST, "a": k.WRAPPED, "c": k.WRAPPED,
    "coll": k.WRAPPED,
}  # fmt: skip
"""Fields of measurements, and those in which Java's lists hold what they wrap."""


class Form(NamedTuple):
    """What objects of a class are to the parser, in the numbers of :mod:`.kernel.library`.

    Attributes
    ----------
    form : int
        PLAIN, of which nothing is taken, or one of the others.
    numbers : tuple of str
        Fields whose numbers are taken: a letter for the type, and the name.
    roles : dict of str to int
        What the fields that hold objects are for.
    kind, flags : int
        Of a class of objects of the hierarchy, or of ROIs.
    """

    form: int = k.PLAIN
    numbers: tuple[str, ...] = ()
    roles: dict[str, int] = _LIST_ROLES
    kind: int = -1
    flags: int = 0


def _roi_form(kind: RoiKind) -> Form:
    plane = ("Ic", "Iz", "It")
    if kind in BOXES:
        return Form(k.A_ROI, (*plane, "Dx", "Dx2", "Dy", "Dy2"), kind=kind)
    if kind == RoiKind.GEOMETRY:
        return Form(k.A_ROI, plane, {"wkb": k.WKB}, kind)
    return Form(k.A_ROI, plane, {"x": k.X, "y": k.Y}, kind)


_OBJECTS: Final = "qupath.lib.objects."
_PATH_CLASS_ROLES: Final = {
    "colorRGB": k.CLASS_COLOR, "name": k.CLASS_NAME, "parentClass": k.CLASS_PARENT,
}  # fmt: skip
_FORMS: Final = {
    _OBJECTS + "hierarchy.PathObjectHierarchy": Form(k.A_HIERARCHY, (), {"rootObject": k.ROOT}),
    _OBJECTS + "classes.PathClass": Form(k.A_PATH_CLASS, (), _PATH_CLASS_ROLES),
    _OBJECTS + "MetadataMap": Form(k.A_METADATA),
    "qupath.lib.images.ImageData$ImageType": Form(k.AN_IMAGE_TYPE),
    "java.lang.Boolean": Form(k.A_BOOLEAN, ("Zvalue",)),
    "java.lang.Integer": Form(k.AN_INTEGER, ("Ivalue",)),
    "java.util.UUID": Form(k.A_UUID, ("JmostSigBits", "JleastSigBits")),
    **{
        f"qupath.lib.roi.{name}SerializationProxy": _roi_form(kind)
        for name, kind in {
            "PolygonROI$": RoiKind.POLYGON,
            "RectangleROI$": RoiKind.RECTANGLE,
            "EllipseROI$": RoiKind.ELLIPSE,
            "LineROI$": RoiKind.LINE,
            "PolylineROI$": RoiKind.POLYLINE,
            "PointsROI$": RoiKind.POINTS,
            "GeometryROI$WKB": RoiKind.GEOMETRY,
            "AreaROI$": RoiKind.AREA,
        }.items()
    },
}
_JAVA_LISTS: Final = (
    "java.util.ArrayList", "java.util.CollSer", "java.util.Collections$Unmodifiable",
    "java.util.Arrays$ArrayList",
)  # fmt: skip
"""With what the names of Java's lists begin: those that hold items, and views of them."""

_KINDS: Final = {
    _OBJECTS + "PathAnnotationObject": ObjectKind.ANNOTATION,
    _OBJECTS + "PathCellObject": ObjectKind.CELL,
    _OBJECTS + "PathTileObject": ObjectKind.TILE,
    _OBJECTS + "PathDetectionObject": ObjectKind.DETECTION,
    _OBJECTS + "TMACoreObject": ObjectKind.TMA_CORE,
}
_FLAGS: Final = {
    _OBJECTS + "PathROIObject": k.HAS_ROI,
    _OBJECTS + "PathCellObject": k.IS_CELL,
    _OBJECTS + "TMACoreObject": k.IS_CORE,
}


def form_of(chain: tuple[str, ...], writes_itself: bool) -> Form:
    """What objects of a class are, by its name and those of its super classes behind it.

    ``writes_itself`` says whether it is externalizable, as objects of the hierarchy and their
    metadata are.
    """
    name = chain[0]
    if _OBJECTS + "PathObject" in chain:
        # The first one counts: a cell is a detection too.
        kind = next((_KINDS[link] for link in chain if link in _KINDS), ObjectKind.OTHER)
        flags = sum(_FLAGS.get(link, 0) for link in chain)
        if name == _OBJECTS + "PathRootObject":
            flags = k.IS_ROOT
        form = Form(k.A_PATH_OBJECT, kind=kind, flags=flags)
    elif name in _FORMS:
        form = _FORMS[name]
    elif name.startswith(_JAVA_LISTS):
        form = Form(k.A_LIST)
    elif "MeasurementList" in name:
        form = Form(k.A_MEASURED)
    elif "Measurement" in name:
        form = Form(k.A_MEASUREMENT, ("Dvalue",), {"name": k.PAIR_NAME})
    else:
        form = Form()
    is_external = form.form in (k.A_PATH_OBJECT, k.A_METADATA)
    return Form() if is_external and not writes_itself else form
