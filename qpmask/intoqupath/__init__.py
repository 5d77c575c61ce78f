"""The way back into QuPath: the only room that writes into a project.

:mod:`.javaobjects` makes objects of columns, as bytes that QuPath reads at once (:mod:`.javabytes`,
:mod:`.javarois`).
"""
