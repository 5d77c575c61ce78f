"""The way back into QuPath: the only room that writes into a project.

In: GeoJSON, masks, arrays from Python. Out: the data files of a project, each replaced whole. Read
from the bottom up::

    options        what becomes of what comes, and of what is there
    javarois       geometries -> QuPath's ROIs
    objectids      the ids of objects, new where they must be
    objecttree     objects below objects, in Java's order
    objectforms    QuPath's classes as Java describes them
    sharedparts    what objects refer to: classes, metadata, names
    objectbytes    single objects as bytes
    javaobjects    objects in columns -> a stream that Java reads at once
    insertion      the same as they stand in a data file that holds others
    splice         these bytes put into a data file without Java
    arrays         objects from Python
    inputs         files, and which image each goes to
    placing        coordinates -> pixels of the image
    classlist      the project's classes and their colours
    summaryjson    what QuPath says of a data file beside it
    removing       which objects go
    backups        files kept, replaced, taken back: the page to read
    runningqupath  whether QuPath is open
    incoming       what comes for an image, read and placed
    job            one image
    report         what was done
    run            all of it
"""
