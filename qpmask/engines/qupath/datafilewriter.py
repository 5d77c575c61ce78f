"""An image's data file, changed by QuPath itself: objects removed and added, all else as it was.

The slide is not opened, so it need not be there: QuPath 0.6 and later read an image's data with
the description of its slide alone. Objects come as streams that Java reads at once
(:mod:`qpmask.intoqupath.javaobjects`). Nothing is written but to the file that is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from qpmask.engines import jvm
from qpmask.errors import EngineError, NoQuPathError
from qpmask.project import ImageEntry, Project

_OBJECT: Final = "qupath.lib.objects.PathObject"


@dataclass(frozen=True)
class Removal:
    """Which objects of an image go before others come.

    Attributes
    ----------
    what : str
        ``all`` but cores of a tissue microarray; those of some ``classes``; those that were
        ``imported`` from a source; or ``none``.
    annotations, detections : bool
        Of ``classes``: whether annotations go, whether detections, cells and tiles.
    classes : tuple of (str or None)
        Names in QuPath's form; None for no class.
    key, value : str
        Of ``imported``: the metadata that mark them.
    """

    what: Literal["none", "classes", "all", "imported"] = "none"
    annotations: bool = True
    detections: bool = True
    classes: tuple[str | None, ...] = ()
    key: str = ""
    value: str = ""


class DataFiles:
    """The data files of a project, as QuPath reads and writes them.

    Parameters
    ----------
    project : Project
        Whose.
    memory : str, optional
        Java heap, such as ``4g``.

    Raises
    ------
    NoQuPathError
        There is no QuPath, or one before 0.6.
    """

    def __init__(self, project: Project, memory: str | None = None) -> None:
        running = jvm.start(memory)
        found = re.match(r"(\d+)\.(\d+)", running.version)
        if found is None or (int(found[1]), int(found[2])) < (0, 6):
            raise NoQuPathError(
                f"QuPath {running.version} cannot save an image without its slide.",
                hint="Importing needs QuPath 0.6 or later. " + jvm.GET_IT,
            )
        from paquo.projects import QuPathProject

        jvm.set_level()
        self.version = running.version
        with jvm.java_errors(f"QuPath failed to open {project.path}"):
            self._project = QuPathProject(project.path, mode="r")
            self._entries = {str(image.entry_id): image for image in self._project.images}

    def open(self, entry: ImageEntry) -> DataFile:
        """Read the data of an image, or begin new ones where it has none."""
        image = self._entries.get(entry.id)
        if image is None:
            raise EngineError(f"QuPath does not find {entry.label}.")
        with jvm.java_errors(f"QuPath failed to read {entry.label}"):
            return DataFile(entry, _read(entry, image.java_object))

    def default_colors(self, names: Iterable[str]) -> dict[str, int]:
        """The packed colour that QuPath gives a class of its own accord, where it has one."""
        import jpype

        path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
        found = {name: path_class.fromString(name).getColor() for name in names}
        return {name: int(color) for name, color in found.items() if color is not None}


def _read(entry: ImageEntry, java_entry: Any) -> Any:
    import jpype

    builder = java_entry.getServerBuilder()
    server: Any = builder
    if not builder.getMetadata().isPresent():
        # QuPath would open the slide to learn whether it is in colour.
        server = jpype.JProxy(
            "qupath.lib.images.servers.ImageServer", inst=_DescribedServer(entry, builder)
        )
    if entry.data_path.exists():
        path = jpype.JClass("java.nio.file.Paths").get(str(entry.data_path))
        return jpype.JClass("qupath.lib.io.PathIO").readImageData(path, server)
    image_data = jpype.JClass("qupath.lib.images.ImageData")
    hierarchy = jpype.JClass("qupath.lib.objects.hierarchy.PathObjectHierarchy")()
    return image_data(server, hierarchy, image_data.ImageType.UNSET)


class _DescribedServer:
    """An ``ImageServer`` that knows how it is built, and its size; a slide that is not opened."""

    def __init__(self, entry: ImageEntry, builder: Any) -> None:
        import jpype

        made = jpype.JClass("qupath.lib.images.servers.ImageServerMetadata").Builder()
        size = entry.size
        made.width(size.width_px if size else 1).height(size.height_px if size else 1)
        made.sizeZ(entry.size_z).sizeT(entry.size_t).name(entry.name).rgb(True)
        made.channels(
            jpype.JClass("qupath.lib.images.servers.ImageChannel").getDefaultRGBChannels()
        )
        made.pixelType(jpype.JClass("qupath.lib.images.servers.PixelType").UINT8)
        self._metadata, self._builder = made.build(), builder

    def getMetadata(self) -> Any:  # noqa: N802 - Java's name
        return self._metadata

    def getOriginalMetadata(self) -> Any:  # noqa: N802 - Java's name
        return self._metadata

    def getBuilder(self) -> Any:  # noqa: N802 - Java's name
        return self._builder

    def getPath(self) -> str:  # noqa: N802 - Java's name
        return "qpmask"

    def isRGB(self) -> bool:  # noqa: N802 - Java's name
        return True

    def close(self) -> None:
        pass


class DataFile:
    """The data of one image in QuPath's memory.

    Parameters
    ----------
    entry : ImageEntry
        The image.
    image_data : Java ImageData
        What QuPath read.
    """

    def __init__(self, entry: ImageEntry, image_data: Any) -> None:
        self._entry = entry
        self._data = image_data
        self._root = image_data.getHierarchy().getRootObject()

    def n_objects(self) -> int:
        """Objects in it, the root left out."""
        return int(self._root.nDescendants())

    def count(self, removal: Removal) -> int:
        """How many objects a removal would take."""
        return int(self._matching(removal).size())

    def remove(self, removal: Removal) -> int:
        """Take objects out; what is below them stays. Give their number."""
        if removal.what == "none":
            return 0
        with jvm.java_errors(f"QuPath failed to remove objects of {self._entry.label}"):
            found = self._matching(removal)
            self._data.getHierarchy().removeObjects(found, True)
            return int(found.size())

    def _matching(self, removal: Removal) -> Any:
        import jpype

        stream = self._root.getDescendantObjects(None).stream()
        for predicate in _predicates(removal):
            stream = stream.filter(predicate)
        return stream.collect(jpype.JClass("java.util.stream.Collectors").toList())

    def ids(self) -> frozenset[bytes]:
        """Ids of all objects."""
        import jpype

        stream = self._root.getDescendantObjects(None).stream()
        texts = stream.map(_function(_OBJECT, "getID")).map(_function("java.util.UUID", "toString"))
        joined = texts.collect(jpype.JClass("java.util.stream.Collectors").joining(","))
        return frozenset(filter(None, str(joined).encode().split(b",")))

    def add(self, stream: bytes) -> int:
        """Add the objects of a stream at the end of those without a parent; give their number."""
        import jpype

        with jvm.java_errors(f"QuPath failed to take objects for {self._entry.label}"):
            raw = jpype.JArray(jpype.JByte)(np.frombuffer(stream, np.int8))
            source = jpype.JClass("java.io.ByteArrayInputStream")(raw)
            root = jpype.JClass("qupath.lib.io.PathIO").readHierarchy(source).getRootObject()
            children = jpype.JClass("java.util.ArrayList")(root.getChildObjects())
            n = int(root.nDescendants())
            root.clearChildObjects()
            self._root.addChildObjects(children)
        return n

    def write(self, path: Path) -> None:
        """Write all of it to a new file."""
        import jpype

        with jvm.java_errors(f"QuPath failed to write {path}"):
            self._data.setLastSavedPath(str(self._entry.data_path), False)
            stream = jpype.JClass("java.io.FileOutputStream")(str(path))
            try:
                jpype.JClass("qupath.lib.io.PathIO").writeImageData(stream, self._data)
            finally:
                stream.close()

    def image_type(self) -> str:
        """QuPath's image type."""
        return str(self._data.getImageType().name())


# -- Java functions that call nothing of Python --------------------------------------------------


def _predicates(removal: Removal) -> list[Any]:
    """Java predicates that all hold for what is to be removed."""
    import jpype

    if removal.what == "all":
        return [_predicate(_method(_OBJECT, "isTMACore")).negate()]
    if removal.what == "classes":
        path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
        wanted = jpype.JClass("java.util.HashSet")()
        for name in removal.classes:
            wanted.add(None if name is None else path_class.fromString(name))
        if None in removal.classes:
            wanted.add(path_class.NULL_CLASS)
        predicates = [_predicate(_then(_method(_OBJECT, "getPathClass"), _contains(wanted)))]
        is_annotation = _predicate(_method(_OBJECT, "isAnnotation"))
        is_detection = _predicate(_method(_OBJECT, "isDetection"))
        if removal.annotations and removal.detections:
            predicates.append(is_annotation.or_(is_detection))
        else:
            predicates.append(is_annotation if removal.annotations else is_detection)
        return predicates
    if removal.what == "imported":
        handles = jpype.JClass("java.lang.invoke.MethodHandles")
        thing = jpype.JClass("java.lang.Object").class_
        kinds = jpype.JClass("java.lang.invoke.MethodType")
        lookup = handles.publicLookup()
        get = lookup.findVirtual(
            jpype.JClass("java.util.Map").class_, "get", kinds.methodType(thing, thing)
        )
        get = handles.insertArguments(get, 1, [jpype.JString(removal.key)])
        boolean = jpype.JClass("java.lang.Boolean").TYPE
        equals = lookup.findStatic(
            jpype.JClass("java.util.Objects").class_,
            "equals",
            kinds.methodType(boolean, [thing, thing]),
        )
        equals = handles.insertArguments(equals, 1, [jpype.JString(removal.value)])
        return [_predicate(_then(_then(_method(_OBJECT, "getMetadata"), get), equals))]
    return [_predicate(_method(_OBJECT, "isRootObject"))]  # none of them is


def _method(owner: str, name: str) -> Any:
    import jpype

    handles = jpype.JClass("java.lang.invoke.MethodHandles")
    return handles.publicLookup().unreflect(jpype.JClass(owner).class_.getMethod(name))


def _contains(java_set: Any) -> Any:
    import jpype

    signature = jpype.JClass("java.lang.invoke.MethodType").methodType(
        jpype.JClass("java.lang.Boolean").TYPE, jpype.JClass("java.lang.Object").class_
    )
    handles = jpype.JClass("java.lang.invoke.MethodHandles")
    return (
        handles.publicLookup()
        .findVirtual(jpype.JClass("java.util.Set").class_, "contains", signature)
        .bindTo(java_set)
    )


def _then(first: Any, second: Any) -> Any:
    """A method handle that gives the first one's result to the second."""
    import jpype

    wanted = second.type().parameterType(0)
    first = first.asType(first.type().changeReturnType(wanted))
    return jpype.JClass("java.lang.invoke.MethodHandles").filterReturnValue(first, second)


def _predicate(handle: Any) -> Any:
    return _instance("java.util.function.Predicate", handle)


def _function(owner: str, name: str) -> Any:
    return _instance("java.util.function.Function", _method(owner, name))


def _instance(interface: str, handle: Any) -> Any:
    import jpype

    return jpype.JClass("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(
        jpype.JClass(interface).class_, handle
    )
