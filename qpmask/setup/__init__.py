"""What qpmask needs around it.

``doctor`` looks what is there, ``download`` fetches QuPath, ``groovyscripts`` writes the scripts
that do the same inside QuPath.
"""
