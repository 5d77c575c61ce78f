"""Java Object Serialization streams, in which QuPath stores objects.

:mod:`.codes` and :mod:`.texts` (modified UTF-8) serve both ways: :mod:`.reading` (kernels: numbers,
handles, texts, references) with :mod:`.descriptors` (classes, in Python), and :mod:`.writing`. What
objects mean is told by :mod:`qpmask.qpdata` and :mod:`qpmask.intoqupath`. The format:
https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html
"""
