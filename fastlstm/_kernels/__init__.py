"""Compiled kernels. They import nothing else of the package; each has a storey on pointers and one on memoryviews."""
