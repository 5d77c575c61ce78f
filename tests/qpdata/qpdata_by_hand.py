"""Data files read the simple way, to compare with: all values of the stream, then what they mean.

Nothing is shared with the parser of qpmask, nothing is fast, nothing says what is wrong: whatever
is damaged raises some exception. Takes what QuPath writes and what nearly is; objects inside
objects are calls inside calls.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qpmask.classes.names import class_name
from qpmask.imageobjects import stored_id

PRIMITIVES = {"B": "b", "C": "H", "D": "d", "F": "f", "I": "i", "J": "q", "S": "h", "Z": "?"}
END = object()
KINDS = {
    f"qupath.lib.objects.{name}": i
    for i, name in enumerate(
        ("PathAnnotationObject", "PathDetectionObject", "PathCellObject", "PathTileObject",
         "TMACoreObject")
    )
}  # fmt: skip
ROIS = ("Polygon", "Rectangle", "Ellipse", "Line", "Polyline", "Points", "Geometry", "Area")


@dataclass(eq=False)
class Desc:
    name: str
    flags: int
    fields: list[tuple[str, str]]
    parent: Desc | None = None

    def levels(self) -> list[Desc]:
        return [*(self.parent.levels() if self.parent else ()), self]

    def chain(self) -> list[str]:
        return [level.name for level in reversed(self.levels())]


@dataclass(eq=False)
class Value:
    """An object, an array or an enum constant."""

    desc: Desc
    fields: dict[str, Any] = field(default_factory=dict)
    contents: list[Any] = field(default_factory=list)


class Stream:
    def __init__(self, data: bytes) -> None:
        assert data[:4] == b"\xac\xed\0\5"
        self.data, self.pos, self.handles = data, 4, [None] * 0

    def take(self, n: int) -> bytes:
        assert 0 <= n <= len(self.data) - self.pos
        self.pos += n
        return self.data[self.pos - n : self.pos]

    def number(self, form: str) -> Any:
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def text(self, form: str = "H") -> str:
        raw = self.take(self.number(form))
        assert max(raw, default=0) < 0xF0
        text = raw.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def known(self, value: Any) -> Any:
        self.handles.append(value)
        return value

    def desc(self) -> Desc | None:
        code = self.take(1)
        if code == b"p":
            return None
        if code == b"q":
            found = self.value(b"q")
            assert isinstance(found, Desc)
            return found
        assert code == b"r"
        found = self.known(Desc(self.text(), 0, []))
        self.take(8)
        found.flags = self.number("B")
        for _ in range(self.number("H")):
            kind, name = self.take(1).decode(), self.text()
            assert kind in PRIMITIVES or kind in "L["
            assert kind not in PRIMITIVES or not any(k in "L[" for k, _ in found.fields)
            assert kind in PRIMITIVES or isinstance(self.value(), str)
            found.fields.append((kind, name))
        assert self.take(1) == b"x"
        found.parent = self.desc()
        assert found not in (found.parent.levels() if found.parent else ())
        return found

    def value(self, code: bytes = b"") -> Any:
        code = code or self.take(1)
        if code == b"p":
            return None
        if code == b"q":
            handle = self.number("I") - 0x7E0000
            assert 0 <= handle < len(self.handles)
            return self.handles[handle]
        if code in (b"t", b"|"):
            return self.known(self.text("H" if code == b"t" else "q"))
        if code == b"x":
            return END
        if code in (b"w", b"z"):
            return self.take(self.number("B" if code == b"w" else "i"))
        assert code in (b"s", b"u", b"~", b"v")
        desc = self.desc()
        assert desc is not None
        made = self.known(Value(desc))
        if code == b"~":
            made.contents = self.value()
            assert isinstance(made.contents, str)
        elif code == b"u":
            assert desc.name[0] == "["
            form = PRIMITIVES.get(desc.name[1:2])
            n = self.number("i")
            assert 0 <= n <= len(self.data)
            if form:
                raw = self.take(n * struct.calcsize(">" + form))
                made.contents = np.frombuffer(raw, ">" + ("i2" if form == "H" else form))
            else:
                made.contents = [self.whole() for _ in range(n)]
        elif code == b"s" and desc.flags & 4:
            assert desc.flags & 8
            self.rest(made)
        elif code == b"s":
            for level in desc.levels():
                for kind, name in level.fields:
                    form = PRIMITIVES.get(kind)
                    made.fields[name] = self.number(form) if form else self.whole()
                if level.flags & 1:
                    self.rest(made)
        return made

    def whole(self) -> Any:
        value = self.value()
        assert value is not END
        assert not isinstance(value, bytes)
        return value

    def rest(self, made: Value) -> None:
        while (item := self.value()) is not END:
            made.contents.append(item)


def is_a(value: Any, name: str) -> bool:
    return isinstance(value, Value) and value.desc.name == name


def is_map(value: Any) -> bool:
    return is_a(value, "qupath.lib.objects.MetadataMap") and bool(value.desc.flags & 4)


def is_measurement(value: Any) -> bool:
    desc = value.desc if isinstance(value, Value) else None
    has_number = desc and any(("D", "value") in level.fields for level in desc.levels())
    return bool(has_number) and "Measurement" in value.desc.name


class File:
    """What is in a data file."""

    def __init__(self, data: bytes) -> None:
        stream = Stream(data)
        line = stream.value()
        assert struct.unpack(">H", line[:2])[0] == len(line) - 2
        self.version = {"2": 2, "3": 3, "4": 4}[line[20:].decode()[:1]]
        assert line[2:].startswith(b"Data file version ")
        self.server = stream.value() or ""
        assert isinstance(self.server, str)
        self.image_type, self.objects, self.colors = None, [], {}
        roots = []
        while True:
            if stream.data[stream.pos] == ord("y"):
                stream.pos, stream.handles = stream.pos + 1, []
                continue
            entry = stream.whole()
            if entry == "EOF":
                break
            if is_a(entry, "qupath.lib.images.ImageData$ImageType"):
                self.image_type = entry.contents
            if is_a(entry, "qupath.lib.objects.hierarchy.PathObjectHierarchy"):
                roots.append(entry.fields["rootObject"])
        assert stream.pos == len(data)
        (root,) = roots
        assert root.desc.name == "qupath.lib.objects.PathRootObject"
        self.seen: set[int] = set()
        self.details: list[tuple[Any, ...]] = []
        self.add(root, None)

    def add(self, value: Value, parent: int | None) -> None:
        """Add an object and what is below it, in the sequence of its own values."""
        assert id(value) not in self.seen
        self.seen.add(id(value))
        chain = value.desc.chain()
        assert "qupath.lib.objects.PathObject" in chain and value.desc.flags & 4
        items = iter([*value.contents, END])
        name, color, first = next(items), next(items), next(items)
        assert name is None or isinstance(name, str)
        id_text = ""
        metadata: dict[str, Any] = {}
        if is_a(first, "java.util.UUID"):
            high, low = first.fields["mostSigBits"], first.fields["leastSigBits"]
            id_text = str(uuid.UUID(int=(high % 2**64) << 64 | low % 2**64))
            number = next(items)
            if len(number) == 4:
                fields = []
                while not isinstance(count := next(items), bytes):
                    fields.append(count)
                assert len(fields) <= max(struct.unpack(">i", number)[0], 0)
                maps = list(filter(is_map, fields))
                # Nobody asks for that of the root, which is not listed.
                metadata = metadata_of(maps[0]) if maps and parent is not None else {}
                lists = [f for f in fields if f and "MeasurementList" in f.desc.name]
                first = lists[0] if lists else None
            else:
                count, first = number[4:], None
        else:
            if is_map(first):
                metadata = {} if parent is None else metadata_of(first)
                id_text = metadata.get("Object ID", "")
                first = next(items)
            assert not isinstance(first, bytes)
            count = next(items)
        (n_children,) = struct.unpack(">i", count)
        assert n_children >= 0
        record: list[Any] = []
        number = len(self.objects)
        if parent is not None:
            self.objects.append(record)
            metadata.pop("Object ID", None)
            argb = number_in(color)
            self.details.append((argb, measured(first), metadata))
        for _ in range(n_children):
            self.add(next(items), number if parent is not None else -1)
        assert (parent is None) == (value.desc.name == "qupath.lib.objects.PathRootObject")
        if parent is None:
            assert next(items) is END
            return
        kind = next((KINDS[link] for link in chain if link in KINDS), 5)
        locked, missing, its_class, roi, nucleus = False, False, None, None, None
        if "qupath.lib.objects.PathROIObject" in chain:
            its_class = next(items)
            if is_a(its_class, "java.lang.Boolean"):
                locked = its_class.fields["value"]
                its_class = next(items)
            its_class = self.class_of(its_class)
            roi = roi_of(next(items))
            raw = next(items)
            if kind == 2:
                nucleus = roi_of(next(items))
            elif kind == 4:
                missing, raw = raw[8] != 0, raw[:8]
            assert len(raw) == 8
        assert next(items) is END
        found_id = stored_id(id_text).decode() or None
        record += [kind, parent, its_class, locked, missing, name, found_id, roi, nucleus]

    def class_of(self, value: Any) -> tuple[str, int | None] | None:
        parts: list[str] = []
        link = value
        while link is not None:
            assert is_a(link, "qupath.lib.objects.classes.PathClass")
            name, above = link.fields.get("name"), link.fields.get("parentClass")
            assert isinstance(name, str) or (name is None and above is None)
            parts += [] if name is None else [name]
            assert len(parts) <= 100
            link = above
        full_name = class_name(":".join(reversed(parts)))
        if full_name is None:
            return None
        color = value.fields.get("colorRGB")
        argb = number_in(color)
        return full_name, self.colors.setdefault(full_name, argb)


def metadata_of(value: Value) -> dict[str, str]:
    arrays = [i for i in value.contents if isinstance(i, Value) and i.desc.name[0] == "["]
    keys, values = (i.contents for i in arrays if i.desc.name[1:2] not in tuple("BCDFIJSZ"))
    pairs = zip(keys, values, strict=True)
    return {k: v for k, v in pairs if isinstance(k, str) and isinstance(v, str)}


def items_of(value: Any) -> list[Any]:
    """What is in a Java list, or in one that it wraps."""
    while isinstance(value, Value) and not value.contents:
        value = next((value.fields[f] for f in ("list", "a", "c") if value.fields.get(f)), None)
    return [i for i in value.contents if not isinstance(i, bytes)] if value else []


def number_in(value: Any) -> int | None:
    """The number of a ``java.lang.Integer``; None for anything else."""
    if not isinstance(value, Value) or value.desc.name != "java.lang.Integer":
        return None
    number = value.fields.get("value")
    return number if isinstance(number, int) else None


def measured(value: Any) -> list[tuple[str, float]]:
    """Names and values of measurements."""
    if not isinstance(value, Value):
        return []
    numbers = value.fields.get("values")
    if isinstance(numbers, Value):
        names = value.fields["names"]
        assert isinstance(names, Value)
        names = [i for i in items_of(names) if isinstance(i, str)]
        return list(zip(names, numbers.contents[: len(names)].astype(float).tolist(), strict=True))
    names = value.fields.get("names")
    assert not (isinstance(names, Value) and any(isinstance(i, str) for i in items_of(names)))
    pairs = list(filter(is_measurement, items_of(value.fields.get("list"))))
    named = [i for i in pairs if isinstance(i.fields.get("name"), str)]
    return [(i.fields["name"], i.fields["value"]) for i in named]


def roi_of(value: Any) -> tuple[Any, ...] | None:
    """A ROI as ``qpdata_samples.roi_record`` gives it, without its bounds."""
    if value is None:
        return None
    name = value.desc.name
    assert name.startswith("qupath.lib.roi.")
    kind = ROIS.index(name[15:].partition("ROI$")[0])
    assert name.endswith("ROI$WKBSerializationProxy" if kind == 6 else "ROI$SerializationProxy")
    plane = tuple(value.fields[axis] for axis in "czt")
    box = [float("nan")] * 4
    parts: list[tuple[int, int, bool, Any]] = []  # kind, part, whether it is a hole, vertices
    geometry_type = 0
    if kind in (1, 2, 3):
        x, x2, y, y2 = (np.float64(value.fields[axis]) for axis in ("x", "x2", "y", "y2"))
        box = [x, y, x2, y2]
        if kind != 3:
            with np.errstate(all="ignore"):
                ends = x + (x2 - x), y + (y2 - y)
            corners = [(b, a) if b < a else (a, b) for a, b in zip((x, y), ends, strict=True)]
            box = [corners[0][0], corners[1][0], corners[0][1], corners[1][1]]
    elif kind == 6:
        raw = value.fields["wkb"].contents
        assert value.fields["wkb"].desc.name == "[B"
        geometry_type, end = wkb(raw.tobytes(), 0, parts)
        assert end == len(raw)
    else:
        axes = [value.fields[axis] for axis in "xy"]
        rings = [a.contents for a in axes] if kind == 7 else [[a] for a in axes]
        for part, (x, y) in enumerate(zip(*rings, strict=True)):
            assert x.desc.name == y.desc.name == "[F"
            ring_kind = {4: 2, 5: 1}.get(kind, 3)
            xy = np.column_stack([x.contents, y.contents]).astype(np.float32)
            parts.append((ring_kind, part, False, xy))
    return (
        kind, plane, numbers(np.array(box, float)), geometry_type,
        [(ring.dtype.name, ring.tobytes()) for *_, ring in parts],
        [ring[0] for ring in parts], [ring[1] for ring in parts], [ring[2] for ring in parts],
    )  # fmt: skip


def numbers(values: Any) -> bytes:
    """Numbers to compare, bit by bit, but all NaN alike: which of two a sum gives, no rule says."""
    return np.where(np.isnan(values), np.nan, values).tobytes()


def wkb(raw: bytes, at: int, parts: list[tuple[int, int, bool, Any]]) -> tuple[int, int]:
    """Add the rings of a geometry; give its type and its end."""
    order = ">" if raw[at] == 0 else "<"
    assert raw[at] < 2
    (code,) = struct.unpack_from(order + "I", raw, at + 1)
    at += 9 if code & 0x20000000 else 5
    kind, extra = divmod(code & 0x1FFFFFFF, 1000)[::-1]
    assert 1 <= kind <= 7
    n_ordinates = max(2 + (code >> 31) + (code >> 30 & 1), (2, 3, 3, 4)[extra])

    def count() -> int:
        nonlocal at
        at += 4
        return int(struct.unpack_from(order + "I", raw, at - 4)[0])

    def points(n: int) -> Any:
        nonlocal at
        found = np.frombuffer(raw, order + "f8", n * n_ordinates, at).astype(float)
        at += 8 * n * n_ordinates
        return found.reshape(n, n_ordinates)[:, :2].copy()

    part = parts[-1][1] + 1 if parts else 0
    if kind == 3:
        for i in range(count()):
            parts.append((3, part, i > 0, points(count())))
    elif kind < 3:
        parts.append((kind, part, False, points(count() if kind == 2 else 1)))
    else:
        members: list[tuple[int, int, bool, Any]] = []
        for _ in range(count()):
            inside, at = wkb(raw, at, members)
            assert kind == 7 or inside == kind - 3
        if kind == 4:
            every = [member[3] for member in members]
            parts.append((1, part, False, np.concatenate([np.zeros((0, 2)), *every])))
        else:
            parts += [(k, part + p, hole, ring) for k, p, hole, ring in members]
    return kind, at
