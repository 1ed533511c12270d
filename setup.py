"""Compiles the kernels; everything else about the package stands in pyproject.toml."""

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("fastlstm/_kernels")

# sqrt and comparisons may not set errno or trap, so that loops over them become vector code; results stay IEEE's
MATHS = ["-g0", "-fno-math-errno", "-fno-trapping-math"]
FLAGS = ["/O2"] if sys.platform == "win32" else ["-O3", *MATHS]

# The kernels in C++ say themselves what is fused and what is unrolled, and need nothing of C++'s library.
KERNEL_FLAGS = ["-O2", *MATHS, "-std=c++17", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti"]
if sys.platform == "win32":
    KERNEL_FLAGS = ["/O2", "/std:c++17"]

ADVICE = """
fastlstm compiles C and needs Python's headers, but {header} is not there{why}.
On Debian and Ubuntu: sudo apt install python3-dev; on Fedora: sudo dnf install python3-devel
"""

NO_COMPILER = (
    "fastlstm compiles C, but {compiler} could not compile a program of one line ({why}): install a C compiler and the "
    "headers of the C library (Debian and Ubuntu: sudo apt install gcc libc6-dev; Fedora: sudo dnf install gcc "
    "glibc-devel; macOS: xcode-select --install)"
)


def check_compiler() -> None:
    """Compile and link a program of one line, so that what is missing is said before the long part of the build."""
    if sys.platform == "win32":
        return
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    program = '#include <math.h>\n#include <stdio.h>\nint main(void) { return printf("") != 0; }\n'
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "program.c")
        source.write_text(program)
        try:
            command = [*compiler, str(source), "-o", str(source.with_suffix("")), "-lm"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise SystemExit(NO_COMPILER.format(compiler=compiler[0], why=error.strerror)) from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        why = next((line for line in said if "error" in line), said[-1]).removeprefix(f"{source}:")
        raise SystemExit(NO_COMPILER.format(compiler=compiler[0], why=why))


def python_headers() -> list[str]:
    """Folders to find Python.h in. Debian packs it apart from Python: if it is not installed, it is fetched."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.exists():
        return []
    if "debian" not in platform.freedesktop_os_release().get("ID_LIKE", "") + platform.freedesktop_os_release()["ID"]:
        raise SystemExit(ADVICE.format(header=header, why=""))
    folder = Path("build/python-headers").resolve()
    unpacked = [folder / "usr/include", folder / "usr/include" / header.parent.name]
    try:
        if not (unpacked[1] / "Python.h").exists():
            unpack_debian_package(f"libpython{sysconfig.get_python_version()}-dev", folder)
    except (OSError, subprocess.CalledProcessError) as error:
        why = f", and could not be fetched ({error})"
        raise SystemExit(ADVICE.format(header=header, why=why)) from error
    return [str(path) for path in unpacked]


def unpack_debian_package(name: str, folder: Path) -> None:
    """Download a package with apt, from where this machine gets its packages, and unpack it; nothing is installed."""
    print(f"Python.h is not installed: unpacking Debian's {name} into {folder} for this build", file=sys.stderr)
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "-q", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "-o", "APT::Sandbox::User=", "download", name], check=True, cwd=folder)
    for package in folder.glob(f"{name}_*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)


directives = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}
check_compiler()
headers = python_headers()


class BuildKernels(build_ext):
    """Compiles the kernels of all instruction sets at the same time, with flags of their own."""

    def build_extension(self, ext: Extension) -> None:
        with ThreadPoolExecutor() as pool:
            kernels = [path for path in ext.depends if path.endswith(".cpp")]
            ext.extra_objects = list(pool.map(partial(self.kernel_object, ext), kernels))
        super().build_extension(ext)

    def kernel_object(self, ext: Extension, source: str) -> str:
        """The compiled file, which is made anew if one of the files that it comes from is newer."""
        made = Path(self.build_temp, source).with_suffix(self.compiler.obj_extension)
        times = [Path(path).stat().st_mtime for path in ext.depends]
        if self.force or not made.exists() or made.stat().st_mtime < max(times):
            self.compiler.compile([source], str(self.build_temp), extra_postargs=KERNEL_FLAGS)
        return str(made)


c_sources, kernel_files = (
    sorted(str(path) for pattern in patterns for path in KERNELS.glob(pattern))
    for patterns in (["simd/*.c"], ["simd/*.cpp", "simd/**/*.h", "simd/**/*.hpp"])
)
extensions = [
    Extension(
        f"fastlstm._kernels.{source.stem}",
        [str(source), *(c_sources if source.stem == "cpu" else ())],
        include_dirs=[str(KERNELS), *headers],
        depends=[path for path in kernel_files if source.stem == "cpu" or path.endswith(".h")],
        extra_compile_args=FLAGS,
    )
    for source in sorted(KERNELS.glob("*.pyx"))
]
setup(
    ext_modules=cythonize(extensions, compiler_directives=directives),
    cmdclass={"build_ext": BuildKernels},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
