"""A job and its objects -> QuPath's label image of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qpmask.classes.names import class_name
from qpmask.engines.base import RenderJob
from qpmask.engines.draworder import drawn_outlines, layers, select
from qpmask.errors import EngineError
from qpmask.qpdata import read_qpdata


class _MetadataServer:
    """An ``ImageServer`` that knows its metadata and nothing else: a slide that is not there."""

    def __init__(self, java_metadata: Any) -> None:
        self._metadata = java_metadata

    def getMetadata(self) -> Any:  # noqa: N802 - Java's name
        return self._metadata

    def getOriginalMetadata(self) -> Any:  # noqa: N802 - Java's name
        return self._metadata

    def getPath(self) -> str:  # noqa: N802 - Java's name
        return "qpmask"

    def isRGB(self) -> bool:  # noqa: N802 - Java's name
        return False

    def close(self) -> None:
        pass


@contextlib.contextmanager
def label_server(job: RenderJob, hierarchy: Any) -> Iterator[Any]:
    """QuPath's label image of a job; closed, with all it holds, at the end."""
    import jpype

    rules, chosen = job.rules, None
    if job.render.instances:
        chosen = _at(job, hierarchy, job.instance_rows, job.instance_ids)
        if job.order == "area":
            hierarchy = _flat(chosen)
    java_metadata = _java_metadata(job)
    base = jpype.JProxy(
        "qupath.lib.images.servers.ImageServer", inst=_MetadataServer(java_metadata)
    )
    image_data_class = jpype.JClass("qupath.lib.images.ImageData")
    image_data = image_data_class(base, hierarchy, image_data_class.ImageType.OTHER)
    _bring_classes_to_form(hierarchy)
    builder = jpype.JClass("qupath.lib.images.servers.LabeledImageServer").Builder(image_data)
    builder.downsample(job.downsample).tileSize(job.tile_px)
    builder.lineThickness(jpype.JFloat(job.render.line_thickness))
    if job.render.objects in ("cores", "all-cores"):
        builder.useFilter(_members(_cores(job, hierarchy)))
    else:
        {
            "annotations": builder.useAnnotations,
            "detections": builder.useDetections,
            "cells": builder.useCells,
            "nuclei": builder.useCellNuclei,
        }[job.render.objects]()
    if job.render.instances:
        builder.useFilter(_members(jpype.JClass("java.util.HashSet")(chosen)))
        builder.useInstanceLabels(True).shuffleInstanceLabels(False)
    if job.render.multichannel:
        builder.multichannelOutput(True).maxOutputChannelLimit(0)
    elif job.order == "area" and not job.render.instances:
        for path_class, label in _layered(job, hierarchy):
            builder.addLabel(path_class, label)
        rules = ()
    for rule in rules:
        # Channel 0 of QuPath's multichannel images is the background; ours begin behind it.
        label = rule.channel + 1 if job.render.multichannel else rule.label
        if rule.class_name is None:
            builder.addUnclassifiedLabel(label)
        else:
            builder.addLabel(rule.class_name, label)
    if job.render.boundary_label is not None:
        builder.setBoundaryLabel("Boundary", job.render.boundary_label)
    server = builder.build()
    try:
        _check_size(job, server)
        yield server
    finally:
        server.close()
        if hasattr(image_data, "close"):  # QuPath 0.5 and later
            image_data.close()


def _bring_classes_to_form(hierarchy: Any) -> None:
    """Give objects the classes that labels are given to.

    QuPath reads classes from a data file as they were written: one that is called ``Unclassified``,
    or has a colon in its name, is another one than that of its name in QuPath's own form.
    """
    import jpype

    objects = hierarchy.getRootObject().getDescendantObjects(None)
    get_class = _java_function("qupath.lib.objects.PathObject", "getPathClass")
    in_use = objects.stream().map(get_class).distinct().toArray()
    path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
    formed: dict[str, Any] = {}
    for found in in_use:
        if found is None or found == path_class.NULL_CLASS:
            continue
        name = class_name(str(found))
        wanted = None if name is None else path_class.fromString(name)
        if wanted != found:
            formed[str(found)] = wanted
    if formed:
        for each in objects:
            found = each.getPathClass()
            if found is not None and str(found) in formed:
                each.setPathClass(formed[str(found)])


def _java_function(owner_name: str, method: str) -> Any:
    """A Java function that calls a method without arguments, without a call back to Python."""
    import jpype

    owner = jpype.JClass(owner_name).class_
    handles = jpype.JClass("java.lang.invoke.MethodHandles")
    found = owner.getMethod(method)
    return jpype.JClass("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(
        jpype.JClass("java.util.function.Function").class_,
        handles.publicLookup().unreflect(found),
    )


def _java_metadata(job: RenderJob) -> Any:
    import jpype

    entry = job.entry
    assert entry.size is not None
    builder = jpype.JClass("qupath.lib.images.servers.ImageServerMetadata").Builder()
    builder.width(entry.size.width_px).height(entry.size.height_px)
    builder.sizeZ(entry.size_z).sizeT(entry.size_t).name(entry.name)
    builder.pixelType(jpype.JClass("qupath.lib.images.servers.PixelType").UINT8)
    builder.channels(
        jpype.JClass("qupath.lib.images.servers.ImageChannel").getDefaultChannelList(1)
    )
    builder.preferredTileSize(job.tile_px, job.tile_px)
    return builder.build()


def _check_size(job: RenderJob, server: Any) -> None:
    level = server.getMetadata().getLevel(0)
    found = (int(level.getWidth()), int(level.getHeight()))
    if found != (job.size.width_px, job.size.height_px):
        raise EngineError(
            f"QuPath would draw {job.entry.label} at {found[0]} x {found[1]} pixels instead of "
            f"{job.size}.",
            hint="Please report this with the QuPath version.",
        )


def _cores(job: RenderJob, hierarchy: Any) -> Any:
    """The Java set of the TMA cores that a job draws."""
    import jpype

    cores = jpype.JClass("java.util.HashSet")()
    for item in hierarchy.getRootObject().getDescendantObjects(None):
        if item.isTMACore() and (job.render.objects == "all-cores" or not item.isMissing()):
            cores.add(item)
    return cores


def _at(job: RenderJob, hierarchy: Any, rows: Sequence[int], ids: Sequence[str | None]) -> Any:
    """The Java objects at these positions of the data file, as a list in that order."""
    import jpype

    everything = hierarchy.getRootObject().getDescendantObjects(None)
    everything = jpype.JClass("java.util.ArrayList")(everything)
    chosen = jpype.JClass("java.util.ArrayList")()
    for row, expected_id in zip(rows, ids, strict=True):
        found = everything.get(row) if row < everything.size() else None
        if found is None or (expected_id is not None and str(found.getID()) != expected_id):
            raise EngineError(
                f"QuPath reads the objects of {job.entry.label} in another order than qpmask.",
                hint="Did the project change meanwhile? Otherwise please report it.",
            )
        chosen.add(found)
    return chosen


def _flat(objects: Any) -> Any:
    """A hierarchy of these objects alone, which visits them in the order of the list."""
    import jpype

    hierarchy = jpype.JClass("qupath.lib.objects.hierarchy.PathObjectHierarchy")()
    for found in objects:
        found.clearChildObjects()
    hierarchy.getRootObject().addChildObjects(objects)
    hierarchy.fireHierarchyChangedEvent(hierarchy)
    return hierarchy


def _layered(job: RenderJob, hierarchy: Any) -> list[tuple[Any, int]]:
    """Classes made up for drawing by area, with their labels, in the order of drawing.

    QuPath draws class after class. Each object gets a class that says its layer and its label, in
    the hierarchy that was read for this job alone; see :func:`qpmask.engines.draworder.layers`.
    """
    import jpype

    if not job.entry.data_path.exists():
        return []
    outlines = drawn_outlines(job.render.objects)
    objects = read_qpdata(job.entry.data_path, outlines=outlines)
    drawn = select(objects, job)
    turn = np.argsort(drawn.order)
    rows, labels = drawn.row[turn], drawn.label[turn]
    assert job.entry.size is not None
    margin_px0 = (job.render.line_thickness + 3) * job.downsample
    found = layers(objects.rois.bounds_px0[drawn.roi[turn]], labels, job.entry.size, margin_px0)
    java = _at(job, hierarchy, rows.tolist(), [objects.id_of(row) for row in rows.tolist()])
    everything = hierarchy.getRootObject().getDescendantObjects(None)
    for other in everything:  # a class of these names may be in use
        other.setPathClass(None)
    path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
    keys = sorted(set(zip(found.tolist(), labels.tolist(), strict=True)))
    classes = {key: path_class.fromString(f"qpmask layer {key[0]} label {key[1]}") for key in keys}
    for at, key in enumerate(zip(found.tolist(), labels.tolist(), strict=True)):
        java.get(at).setPathClass(classes[key])
    return [(classes[key], key[1]) for key in keys]


def _members(java_set: Any) -> Any:
    """A Java predicate that holds for the members of a set, without a call back to Python."""
    import jpype

    handles = jpype.JClass("java.lang.invoke.MethodHandles")
    signature = jpype.JClass("java.lang.invoke.MethodType").methodType(
        jpype.JClass("java.lang.Boolean").TYPE, jpype.JClass("java.lang.Object").class_
    )
    contains = handles.publicLookup().findVirtual(
        jpype.JClass("java.util.Set").class_, "contains", signature
    )
    return jpype.JClass("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(
        jpype.JClass("java.util.function.Predicate").class_, contains.bindTo(java_set)
    )
