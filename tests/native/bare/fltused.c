int _fltused = 1; /* which the linker of Microsoft expects where there are floating-point numbers */
