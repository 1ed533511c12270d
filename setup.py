"""Compiles the kernels; everything else about the package stands in pyproject.toml."""

import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = Path("fastlstm/_kernels")

# sqrt and comparisons may not set errno or trap, so that loops over them become vector code; results stay IEEE's
FLAGS = ["/O2"] if sys.platform == "win32" else ["-O3", "-fno-math-errno", "-fno-trapping-math"]


def require_python_headers() -> None:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise SystemExit(
            f"fastlstm compiles C and needs Python's headers, but {header} is not there.\n"
            f"On Debian and Ubuntu: sudo apt install gcc python3-dev; on Fedora: sudo dnf install gcc python3-devel"
        )


require_python_headers()
extensions = [
    Extension(
        f"fastlstm._kernels.{source.stem}",
        [str(source)],
        include_dirs=[str(KERNELS)],
        depends=[str(header) for header in KERNELS.glob("simd/*.h")],
        extra_compile_args=FLAGS,
    )
    for source in sorted(KERNELS.glob("*.pyx"))
]
directives = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}
setup(ext_modules=cythonize(extensions, compiler_directives=directives))
