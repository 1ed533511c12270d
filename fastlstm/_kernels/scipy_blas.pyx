"""The routines of scipy's BLAS, handed to blas.pyx when this module is imported."""

from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from fastlstm._kernels.blas cimport routines

routines.sgemm, routines.dgemm, routines.sgemv, routines.dgemv = sgemm, dgemm, sgemv, dgemv
