"""What can go wrong, as one tree of exceptions.

Every error that qpmask raises on purpose is a :class:`QpmaskError`, and also a child of the
built-in exception that a Python programmer would expect::

    QpmaskError
    ├── OptionsError (ValueError)              options that contradict each other or the image
    │   ├── WrongTypeError (TypeError)         an argument of a type that it cannot have
    │   ├── OutsideMaskError (IndexError)      an index or a region outside a mask
    │   ├── NoSuchClassError (LookupError)     a class that a mask does not name
    │   └── FrameError                         a slide that cannot be put under an image or a mask
    ├── ClassMapError (ValueError)             a class map that cannot be read or makes no sense
    │   └── UnmappedClassError (LookupError)   a class in use that the given map lacks
    ├── ProjectError (ValueError)              a project that cannot be read
    │   ├── ProjectNotFoundError (FileNotFoundError)
    │   └── NoSuchImageError (LookupError)     --images matches nothing
    ├── DataFileError (ValueError)             an image's data file that cannot be trusted
    │   ├── DataFileMissingError (FileNotFoundError)
    │   ├── TruncatedDataError (EOFError)      it ends too early
    │   ├── CorruptDataError                   its bytes contradict its own format
    │   └── UnsupportedDataError (NotImplementedError)   a format we do not know
    ├── EngineError (RuntimeError)             the engine failed
    │   ├── EngineUnavailableError             what the engine needs is not there: exit code 3
    │   │   ├── NoQuPathError (FileNotFoundError)  no usable QuPath or JVM
    │   │   └── KernelsUnavailableError (ImportError)  compiled parts of qpmask cannot be loaded
    │   ├── EngineOutOfMemoryError (MemoryError)
    │   ├── LostTilesError                     QuPath could not draw or write some tiles
    │   └── UnsupportedByEngineError (NotImplementedError)
    ├── MaskError (ValueError)                 a mask file that is not what it should be
    │   ├── MaskCheckError                     a mask that failed its check
    │   └── TileError                          one tile of a mask is missing or damaged
    ├── ObjectFileError (ValueError)           a file of objects (GeoJSON) that cannot be read
    ├── ImportRefusedError (RuntimeError)      a project that is not to be written to now
    ├── HiddenObjectsError (ValueError)        objects without a pixel, where that is an error
    ├── OutputError (OSError)                  the output cannot be written
    ├── MissingExtraError (ImportError)        an optional dependency that is not installed
    └── Interrupted                            Ctrl-C or SIGTERM: exit code 130

A message says what failed, where (project, image, object), and what to do about it; ``hint``
holds the last part where it is a sentence of its own.
"""

from __future__ import annotations


class QpmaskError(Exception):
    """Root of all errors that qpmask raises on purpose.

    Parameters
    ----------
    message : str
        What failed and where, one or two sentences for a person.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # An exception with keyword arguments does not survive a process pool by itself.
        return _rebuild, (type(self), self.message, self.hint), vars(self)


def _rebuild(cls: type[QpmaskError], message: str, hint: str | None) -> QpmaskError:
    return cls(message, hint=hint)


class OptionsError(QpmaskError, ValueError):
    """Options that contradict each other, or that an image cannot satisfy."""


class WrongTypeError(OptionsError, TypeError):
    """An argument has a type that it cannot have."""


class OutsideMaskError(OptionsError, IndexError):
    """An index or a region lies outside a mask."""


class NoSuchClassError(OptionsError, LookupError):
    """A class is asked for that a mask does not name."""


class FrameError(OptionsError):
    """Where an image or a mask lies in its file is not known, or the file is another one."""


class ClassMapError(QpmaskError, ValueError):
    """A class map that cannot be read, or that makes no sense."""


class UnmappedClassError(ClassMapError, LookupError):
    """A class is in use that the given map lacks."""


class ProjectError(QpmaskError, ValueError):
    """A QuPath project that cannot be read."""


class ProjectNotFoundError(ProjectError, FileNotFoundError):
    """There is no QuPath project at the given path."""


class NoSuchImageError(ProjectError, LookupError):
    """A selection of images matches none of the project's."""


class DataFileError(QpmaskError, ValueError):
    """An image's data file (``data.qpdata``) that cannot be trusted."""


class DataFileMissingError(DataFileError, FileNotFoundError):
    """The data file is not there."""


class TruncatedDataError(DataFileError, EOFError):
    """The data file ends before its content does."""


class CorruptDataError(DataFileError):
    """The bytes of the data file contradict its own format."""


class UnsupportedDataError(DataFileError, NotImplementedError):
    """The data file is of a kind or a version that qpmask does not read."""


class EngineError(QpmaskError, RuntimeError):
    """The engine failed to make a mask."""


class EngineUnavailableError(EngineError):
    """What an engine needs is not installed or does not start."""


class NoQuPathError(EngineUnavailableError, FileNotFoundError):
    """No usable QuPath, or a JVM that does not start."""


class KernelsUnavailableError(EngineUnavailableError, ImportError):
    """What qpmask compiles cannot be loaded: its sources were changed, or LLVM refuses."""


class EngineOutOfMemoryError(EngineError, MemoryError):
    """The JVM ran out of memory."""


class LostTilesError(EngineError):
    """Some tiles could not be drawn or written."""


class UnsupportedByEngineError(EngineError, NotImplementedError):
    """The engine cannot do what the options ask, and will not approximate it."""


class MaskError(QpmaskError, ValueError):
    """A mask file that is not what it should be."""


class MaskCheckError(MaskError):
    """A mask failed its check."""


class TileError(MaskError):
    """One tile of a mask is missing or damaged.

    Parameters
    ----------
    what : str
        Why, without the place.
    """

    def __init__(self, message: str, *, hint: str | None = None, what: str = "") -> None:
        super().__init__(message, hint=hint)
        self.what = what


class ObjectFileError(QpmaskError, ValueError):
    """A file of objects, such as GeoJSON, that cannot be read or makes no sense."""


class ImportRefusedError(QpmaskError, RuntimeError):
    """A project that is not to be written to now: QuPath may have it open, or it changed."""


class HiddenObjectsError(QpmaskError, ValueError):
    """Objects of an image leave no pixel in its mask, and that was to be an error."""


class OutputError(QpmaskError, OSError):
    """Output that cannot be written."""


class MissingExtraError(QpmaskError, ImportError):
    """An optional dependency is not installed; the hint names the extra that brings it."""


class Interrupted(QpmaskError):  # noqa: N818 - reads as what happened, like KeyboardInterrupt
    """The user or the system asked the run to stop."""
