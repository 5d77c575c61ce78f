"""Reads QuPath's ``data.qpdata`` files without Java.

A data file of QuPath 0.2 to 0.7 is one Java serialization stream (:mod:`qpmask.javastream`).
:mod:`.reader` opens it, :mod:`.datahead` looks for its version, :mod:`.parser` reads the rest in
one pass, with compiled code that fills arrays (:mod:`.kernel`: values, ROIs, the hierarchy of
objects). Each class that it meets is turned into numbers by :mod:`.classforms`, by what is known of
QuPath's classes (:mod:`.qupathclasses`); of others all is passed over. What is wrong with a file is
a number (:mod:`.kernel.faults`) and a place; :mod:`.datafileerrors` makes an error of them.
:mod:`.columns` makes of the arrays what :mod:`qpmask.imageobjects` tells.
"""

from qpmask.qpdata.reader import read_qpdata, read_qpdata_bytes

__all__ = ["read_qpdata", "read_qpdata_bytes"]
