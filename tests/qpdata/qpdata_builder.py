"""Writes Java Object Serialization streams and QuPath data files byte by byte, for the tests.

The numbers of the classes (serialVersionUID) are the real ones, so that a real QuPath reads what
is written here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

WRITE_METHOD, SERIALIZABLE, EXTERNALIZABLE, BLOCK_DATA, ENUM = 1, 2, 4, 8, 16

_UIDS = {
    "java.lang.Integer": 0x12E2A0A4F7818738,
    "java.lang.Number": 0x86AC951D0B94E08B,
    "java.lang.Boolean": 0xCD207280D59CFAEE,
    "java.lang.Enum": 0,
    "qupath.lib.images.ImageData$ImageType": 0,
    "java.util.HashMap": 0x0507DAC1C31660D1,
    "java.util.UUID": 0xBC9903F7986D852F,
    "[F": 0x0B9C818922E00C42,
    "[B": 0xACF317F8060854E0,
    "[Ljava.lang.Object;": 0x90CE589F1073296C,
}


def modified_utf8(text: str) -> bytes:
    out = b""
    for unit in struct.unpack(f"<{len(text.encode('utf-16-le')) // 2}H", text.encode("utf-16-le")):
        out += b"\xc0\x80" if unit == 0 else chr(unit).encode("utf-8", "surrogatepass")
    return out


@dataclass
class JavaWriter:
    """The stream as far as it is written; handles are counted as Java counts them."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\xac\xed\x00\x05"))
    n_handles: int = 0
    known: dict[object, int] = field(default_factory=dict)

    def raw(self, data: bytes) -> None:
        self.data += data

    def handle(self, key: object = None) -> int:
        self.n_handles += 1
        if key is not None:
            self.known[key] = self.n_handles - 1
        return self.n_handles - 1

    def null(self) -> None:
        self.raw(b"p")

    def end(self) -> None:
        self.raw(b"x")

    def reference(self, handle: int) -> None:
        self.raw(b"q" + struct.pack(">I", (0x7E0000 + handle) & 0xFFFFFFFF))

    def refer(self, key: object) -> bool:
        """Write a reference to something that was written under this key, if it was."""
        if key in self.known:
            self.reference(self.known[key])
            return True
        return False

    def utf(self, text: str) -> bytes:
        raw = modified_utf8(text)
        return struct.pack(">H", len(raw)) + raw

    def string(self, text: str, *, share: bool = False) -> None:
        if share and self.refer(("text", text)):
            return
        self.raw(b"t" + self.utf(text))
        self.handle(("text", text))

    def block(self, data: bytes) -> None:
        self.raw(b"w" + bytes([len(data)]) + data)

    def class_desc(
        self,
        name: str,
        flags: int = SERIALIZABLE,
        fields: Sequence[tuple[str, str]] = (),
        parent: tuple | None = None,
    ) -> None:
        """``fields`` are (type, name); a type of more than one letter is that of an object."""
        if self.refer(("class", name)):
            return
        self.raw(b"r" + self.utf(name) + struct.pack(">Q", _UIDS.get(name, 1)))
        self.handle(("class", name))
        self.raw(struct.pack(">BH", flags, len(fields)))
        for code, field_name in fields:
            self.raw(code[:1].encode() + self.utf(field_name))
            if len(code) > 1:
                self.string(code, share=True)
        self.end()
        if parent is None:
            self.null()
        else:
            self.class_desc(*parent)

    def object(self, *desc: object, key: object = None) -> int:
        self.raw(b"s")
        self.class_desc(*desc)
        return self.handle(key)

    def array(self, name: str, form: str, values: Sequence[float], *, key: object = None) -> None:
        self.raw(b"u")
        self.class_desc(name)
        self.handle(key)
        self.raw(struct.pack(f">i{len(values)}{form}", len(values), *values))

    def object_array(self, name: str, n: int) -> None:
        self.raw(b"u")
        self.class_desc(name)
        self.handle()
        self.raw(struct.pack(">i", n))

    def boolean(self, value: bool) -> None:
        if not self.refer(("boolean", value)):
            self.object("java.lang.Boolean", SERIALIZABLE, [("Z", "value")], key=("boolean", value))
            self.raw(bytes([value]))

    def integer(self, value: int) -> None:
        number = ("java.lang.Number", SERIALIZABLE)
        self.object("java.lang.Integer", SERIALIZABLE, [("I", "value")], number)
        self.raw(struct.pack(">i", value))


# ------------------------------------------------------------------------------- QuPath's objects

ROI_PACKAGE = "qupath.lib.roi."
OBJECT_PACKAGE = "qupath.lib.objects."
STRING = "Ljava/lang/String;"


@dataclass(frozen=True, eq=False)
class Roi:
    """A ROI; ``values`` are x and y, or x, y, x2, y2, or the WKB, or the rings."""

    kind: str
    values: object
    plane: tuple[int, int, int] = (-1, 0, 0)


@dataclass(frozen=True, eq=False)
class Obj:
    """An object of the hierarchy."""

    kind: str = "PathAnnotationObject"
    name: str | None = None
    color: int | None = None
    metadata: dict[str, str] | None = None
    uuid: int | None = None
    children: Sequence[Obj] = ()
    locked: bool | None = False
    #: Names from the base class on; () is the nameless class; None is no class.
    path_class: tuple[str, ...] | None = None
    class_color: int | None = -16711936
    roi: Roi | None = None
    nucleus: Roi | None = None
    probability: float = float("nan")
    missing: bool = False

    def with_(self, **changes: object) -> Obj:
        return replace(self, **changes)


EXTERNAL = EXTERNALIZABLE | BLOCK_DATA
_BASE = (OBJECT_PACKAGE + "PathObject", EXTERNAL)
_ROI_BASE = (OBJECT_PACKAGE + "PathROIObject", EXTERNAL, (), _BASE)
_DETECTION = (OBJECT_PACKAGE + "PathDetectionObject", EXTERNAL, (), _ROI_BASE)
_PARENTS = {
    "PathRootObject": _BASE,
    "PathAnnotationObject": _ROI_BASE,
    "PathDetectionObject": _ROI_BASE,
    "PathCellObject": _DETECTION,
    "PathTileObject": _DETECTION,
    "TMACoreObject": _ROI_BASE,
}
_PATH_CLASS = OBJECT_PACKAGE + "classes.PathClass"


class QuPathWriter(JavaWriter):
    """Writes what QuPath writes."""

    def roi(self, roi: Roi | None) -> None:
        if roi is None:
            self.null()
            return
        if self.refer(("roi", id(roi))):
            return
        plane = [("I", "c"), ("I", "t"), ("I", "z")]
        c, z, t = roi.plane
        name = ROI_PACKAGE + roi.kind + "$SerializationProxy"
        key = ("roi", id(roi))
        if roi.kind in ("RectangleROI", "EllipseROI", "LineROI"):
            fields = [
                *(("I", "c"), ("I", "t"), ("D", "x"), ("D", "x2"), ("D", "y"), ("D", "y2")),
                *(("I", "z"), (STRING, "name")),
            ]
            self.object(name, SERIALIZABLE, fields, key=key)
            x, y, x2, y2 = roi.values
            self.raw(struct.pack(">ii4di", c, t, x, x2, y, y2, z))
            self.null()
        elif roi.kind == "GeometryROI":
            name = ROI_PACKAGE + "GeometryROI$WKBSerializationProxy"
            stats = ("Lqupath/lib/roi/GeometryROI$GeometryStats;", "stats")
            self.object(name, SERIALIZABLE, [*plane, stats, ("[B", "wkb")], key=key)
            self.raw(struct.pack(">iii", c, t, z))
            self.null()
            wkb = [byte - 256 if byte > 127 else byte for byte in roi.values]
            self.array("[B", "b", wkb)
        elif roi.kind == "AreaROI":
            stats = ("Lqupath/lib/roi/ClosedShapeStatistics;", "stats")
            rings = [("[[F", "x"), ("[[F", "y")]
            self.object(name, SERIALIZABLE, [*plane, (STRING, "name"), stats, *rings], key=key)
            self.raw(struct.pack(">iii", c, t, z))
            self.null()
            self.null()
            for axis in (0, 1):
                self.object_array("[[F", len(roi.values))
                for ring in roi.values:
                    self.array("[F", "f", ring[axis])
        else:
            extra = {
                "PolygonROI": [
                    (STRING, "name"),
                    ("Lqupath/lib/roi/ClosedShapeStatistics;", "stats"),
                ],
                "PointsROI": [(STRING, "name")],
                "PolylineROI": [],
            }.get(roi.kind, [])
            fields = [*plane, *extra, ("[F", "x"), ("[F", "y")]
            self.object(name, SERIALIZABLE, fields, key=key)
            self.raw(struct.pack(">iii", c, t, z))
            for _ in extra:
                self.null()
            for values in roi.values:
                self.array("[F", "f", values)

    def path_class(self, parts: tuple[str, ...] | None, color: int | None) -> None:
        if parts is None:
            self.null()
            return
        if self.refer(("path class", parts)):
            return
        fields = [
            ("Ljava/lang/Integer;", "colorRGB"),
            (STRING, "name"),
            (f"L{_PATH_CLASS.replace('.', '/')};", "parentClass"),
        ]
        self.object(_PATH_CLASS, SERIALIZABLE, fields, key=("path class", parts))
        if parts and color is not None:
            self.integer(color)
        else:
            self.null()
        if parts:
            self.string(parts[-1])
        else:
            self.null()
        self.path_class(parts[:-1] or None, color)

    def metadata(self, entries: dict[str, str]) -> None:
        self.object(OBJECT_PACKAGE + "MetadataMap", EXTERNAL)
        self.integer(1)
        for items, share in ((entries.keys(), True), (entries.values(), False)):
            self.object_array("[Ljava.lang.Object;", len(entries))
            for item in items:
                self.string(item, share=share)
        self.end()

    def open_object(self, item: Obj) -> None:
        self.object(OBJECT_PACKAGE + item.kind, EXTERNAL, (), _PARENTS.get(item.kind, _BASE))
        if item.name is None:
            self.null()
        else:
            self.string(item.name)
        if item.color is None:
            self.null()
        else:
            self.integer(item.color)
        if item.uuid is not None:
            self.object(
                "java.util.UUID", SERIALIZABLE, [("J", "leastSigBits"), ("J", "mostSigBits")]
            )
            self.raw(item.uuid.to_bytes(16, "big")[8:] + item.uuid.to_bytes(16, "big")[:8])
            self.block(struct.pack(">i", 1))
        elif item.metadata is not None:
            self.metadata(item.metadata)
        self.null()  # measurements
        self.block(struct.pack(">i", len(item.children)))

    def close_object(self, item: Obj) -> None:
        if item.kind != "PathRootObject":
            if item.locked is not None:
                self.boolean(item.locked)
            self.path_class(item.path_class, item.class_color)
            self.roi(item.roi)
            tail = struct.pack(">d", item.probability)
            if item.kind == "TMACoreObject":
                tail += bytes([item.missing])
            self.block(tail)
            if item.kind == "PathCellObject":
                self.roi(item.nucleus)
        self.end()

    def tree(self, root: Obj) -> None:
        todo: list[tuple[Obj, bool]] = [(root, True)]
        while todo:
            item, opening = todo.pop()
            if opening:
                self.open_object(item)
                todo.append((item, False))
                todo.extend((child, True) for child in reversed(item.children))
            else:
                self.close_object(item)

    def open_hierarchy(self) -> None:
        self.object(
            OBJECT_PACKAGE + "hierarchy.PathObjectHierarchy",
            SERIALIZABLE,
            [
                ("Lqupath/lib/objects/PathObject;", "rootObject"),
                ("Lqupath/lib/objects/hierarchy/TMAGrid;", "tmaGrid"),
            ],
        )

    def properties(self) -> None:
        self.object(
            "java.util.HashMap",
            SERIALIZABLE | WRITE_METHOD,
            [("F", "loadFactor"), ("I", "threshold")],
        )
        self.raw(struct.pack(">fi", 0.75, 12))
        self.block(struct.pack(">ii", 16, 1))
        self.string("key")
        self.string("value")
        self.end()

    def head(self, first_line: str = "Data file version 2", server: str | None = None) -> None:
        self.block(self.utf(first_line))
        self.string("Image path: /images/one.tif" if server is None else server)
        self.null()  # the locale
        self.raw(b"~")
        self.class_desc(
            "qupath.lib.images.ImageData$ImageType",
            SERIALIZABLE | ENUM,
            (),
            ("java.lang.Enum", SERIALIZABLE | ENUM),
        )
        self.handle()
        self.string("FLUORESCENCE")
        self.null()  # the stains
        self.null()  # the workflow

    def tail(self) -> None:
        self.properties()
        self.string("EOF")


def data_file(
    children: Iterable[Obj], *, first_line: str = "Data file version 2", server: str | None = None
) -> bytes:
    """Make a whole data file."""
    writer = QuPathWriter()
    writer.head(first_line, server)
    writer.open_hierarchy()
    writer.tree(Obj("PathRootObject", children=tuple(children)))
    writer.null()  # the grid of TMA cores
    writer.tail()
    return bytes(writer.data)
