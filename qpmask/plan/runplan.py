"""The plan of a run: every selected image is read, the class map checked, each image planned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from qpmask.classes import ClassMap
from qpmask.common.words import images_text
from qpmask.errors import DataFileError, ProjectError, QpmaskError
from qpmask.ometiff.otherprograms import shut_out
from qpmask.options import ExportOptions
from qpmask.outputs import SUFFIX_OF_FORMAT, file_sha256, file_state, mask_names, sha256_meanwhile
from qpmask.plan.classcheck import (
    check_classes,
    check_labels,
    count_classes,
    project_map,
    said_once,
    settled_map,
    unclassified_label,
)
from qpmask.plan.imageplan import plan_image
from qpmask.plan.planrecords import ImagePlan, Plan
from qpmask.project import BACKUP_FILE, ImageEntry, Project
from qpmask.project.inventory import Inventory, ReadObjects, read_inventory
from qpmask.project.readonce import ReadOnce


def read_image(entry: ImageEntry) -> Inventory | QpmaskError:
    """The objects of an image, or why it cannot be drawn: first what is wrong with its data."""
    return _read_image(entry, hashed=True)


def _read_image(
    entry: ImageEntry, *, hashed: bool, read: ReadObjects | None = None
) -> Inventory | QpmaskError:
    try:
        path = entry.data_path
        state = file_state(path) if hashed else ()
        sha256 = sha256_meanwhile(path) if hashed and path.exists() else None
        found = read_inventory(entry) if read is None else read_inventory(entry, read)
        if hashed and found.has_data:
            hash_now = sha256() if sha256 else file_sha256(path)
            found = replace(found, data_sha256=hash_now, data_state=state)
    except QpmaskError as error:
        return error
    except OSError as error:
        return DataFileError(
            f"{entry.data_path} of {entry.label} cannot be read: {error.strerror or error}."
        )
    if entry.problem is not None and entry.size is None:
        return ProjectError(
            f"The image {entry.label} cannot be drawn: {entry.problem}.",
            hint="Open it in QuPath and save it, so that the project holds its size.",
        )
    return found


def read_images(
    entries: Sequence[ImageEntry], once: ReadOnce | None = None
) -> Iterator[Inventory | QpmaskError]:
    """:func:`read_image` for each of some images.

    The objects of a single one are kept by ``once``; those of many would take too much memory.
    """
    if once is None or len(entries) > 1:
        return map(read_image, entries)
    return (_read_image(entry, hashed=True, read=once.first) for entry in entries)


#: Reads images, here or elsewhere.
ReadImages = Callable[[Sequence[ImageEntry]], Iterable[Inventory | QpmaskError]]


def make_plan(
    project: Project,
    class_map: ClassMap | None,
    options: ExportOptions,
    read: ReadImages = read_images,
) -> Plan:
    """Decide what to do for every selected image.

    Parameters
    ----------
    project : Project
        The project.
    class_map : ClassMap or None
        Labels; None takes the project's class list, and then the classes in use in any image of
        the project, selected or not, so that labels do not depend on the selection. A map whose
        origin is ``project`` gets classes that it lacks appended, any other one must hold all
        classes in use.
    options : ExportOptions
        What to draw and how.
    read : callable
        Gives what :func:`read_image` does for each of some images, in their order.

    Raises
    ------
    UnmappedClassError
        A class in use is not in the map that was given (unless ``unknown`` is ``ignore``).
    OptionsError
        Options contradict each other or the class map.
    NoSuchImageError
        The selection matches nothing.
    """
    entries = project.select(options.images)
    if not entries:
        raise ProjectError(f"{project.path} has no images.", hint="Add some in QuPath.")
    names = mask_names(project.images, SUFFIX_OF_FORMAT[options.file.format])
    found_in: dict[str, Inventory | QpmaskError] = {}
    backups: dict[str, str] = {}
    for entry, inventory in zip(entries, read(entries), strict=True):
        found_in[entry.id] = inventory
        if options.use_backup and isinstance(inventory, DataFileError):
            spare = replace(entry, data_name=BACKUP_FILE)
            found = read_image(spare) if spare.data_path.exists() else None
            if isinstance(found, Inventory):
                text = f"Read from QuPath's backup, which is older: {inventory.message}"
                backups[entry.id] = text
                found_in[entry.id] = found
            elif found is not None:
                found_in[entry.id] = _both_damaged(inventory, found)
    entries = tuple(replace(e, data_name=BACKUP_FILE) if e.id in backups else e for e in entries)
    inventories = {k: v for k, v in found_in.items() if isinstance(v, Inventory)}

    kind = options.render.objects
    used = count_classes(i.counts(kind) for i in inventories.values())
    follows_project = class_map is None or class_map.origin == "project"
    findings = list(project.findings)
    if follows_project:
        saved = class_map
        class_map = project_map(project, saved, inventories.values(), kind)
        if saved is None or len(class_map.entries) > len(saved.entries):
            everything = _AllImages(project, found_in)
            class_map = project_map(project, saved, everything, kind)
            findings += everything.findings()
    assert class_map is not None
    findings += check_classes(class_map, options, used, follows_project)
    unclassified = unclassified_label(class_map, options, used)
    check_labels(class_map, options, unclassified)
    class_map, said = settled_map(class_map, options, used)
    findings += [*said, *said_once(class_map, options, used, inventories.values())]

    images = []
    for entry in entries:
        base = ImagePlan(entry, names[entry.id], slide=project.find_slide(entry, options.slides))
        result = found_in[entry.id]
        if isinstance(result, QpmaskError):
            images.append(replace(base, error=result))
            continue
        try:
            made = plan_image(project, base, result, class_map, options)
            if entry.id in backups:
                made = replace(made, findings=(backups[entry.id], *made.findings))
            images.append(made)
        except QpmaskError as error:
            images.append(replace(base, inventory=result, error=error))
    findings += _programs_shut_out(images, options)
    return Plan(project, class_map, options, tuple(images), tuple(findings))


class _AllImages:
    """Inventories of all images in the project's order, those that were not selected too.

    A label must not depend on which images a run is about. Those that have to be read for it are
    held one at a time.
    """

    def __init__(self, project: Project, read: Mapping[str, Inventory | QpmaskError]) -> None:
        self._project = project
        self._read = read
        self._failed: list[ImageEntry] = []

    def __iter__(self) -> Iterator[Inventory]:
        for entry in self._project.images:
            found = self._read.get(entry.id)
            if found is None:
                found = _read_image(entry, hashed=False)
                if not isinstance(found, Inventory):
                    self._failed.append(entry)
            if isinstance(found, Inventory):
                yield found

    def findings(self) -> list[str]:
        """What the user should know."""
        if not self._failed:
            return []
        return [
            f"{images_text(len(self._failed))} beside the selected ones cannot be read, such as "
            f"{self._failed[0].label}: classes that are only there get a label when they are "
            "exported."
        ]


def _programs_shut_out(images: list[ImagePlan], options: ExportOptions) -> list[str]:
    """Which programs the masks of a run are not for: once, not once an image."""
    if options.file.format != "ome-tiff":
        return []
    dtypes = sorted({plan.job.dtype for plan in images if plan.job is not None})
    strips = options.file.made_for is not None
    said = (shut_out(dtype, options.file.compression, strips=strips) for dtype in dtypes)
    return list(dict.fromkeys(sentence for sentences in said for sentence in sentences))


def _both_damaged(error: QpmaskError, of_backup: QpmaskError) -> QpmaskError:
    """The error of a data file whose backup is of no use either."""
    error.message = f"{error.message} Its backup is of no use: {of_backup.message}"
    error.hint = "Restore one of the two from a backup of your own, or annotate the image again."
    return error
