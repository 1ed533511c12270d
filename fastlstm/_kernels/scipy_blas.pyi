"""The routines of scipy's BLAS, handed to blas.pyx when this module is imported."""
