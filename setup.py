"""Compiles the kernels; everything else about the package stands in pyproject.toml."""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("fastlstm/_kernels")

# sqrt and comparisons may not set errno or trap, so that loops over them become vector code; results stay IEEE's
MATHS = ["-g0", "-fno-math-errno", "-fno-trapping-math"]
FLAGS = ["-O3", *MATHS]

# without the names of functions, which nobody calls by name
LINK_FLAGS = ["-Wl,-s"] if sys.platform == "linux" else []

# The kernels in C++ say themselves what is fused and what is unrolled, and need nothing of C++'s library. No exception
# passes through them, so that they need no tables of how to go back, which would be a twentieth of their size.
KERNEL_FLAGS = ["-O2", *MATHS, "-std=c++17", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti"]
KERNEL_FLAGS += ["-fno-asynchronous-unwind-tables"]

if "wasm32" in sysconfig.get_platform():
    FLAGS, KERNEL_FLAGS = [*FLAGS, "-msimd128"], [*KERNEL_FLAGS, "-msimd128"]


def clang_cl(asked: str) -> str | None:
    """Where clang-cl is, which the kernels want on Windows, or another one that CC names; None for Microsoft's, cl.

    Microsoft's compiler has no vectors, so that it leaves nothing but the plain path.
    """
    if Path(asked).stem == "cl":
        return None
    found = shutil.which(asked or "clang-cl")
    if asked and not found:
        raise SystemExit(f"CC: expected the name of clang-cl, or cl for the plain path alone, got {asked!r}")
    return found


CLANG_CL = None
if sys.platform == "win32":
    FLAGS, KERNEL_FLAGS = ["/O2", "/std:c11"], ["/O2", "/std:c++17"]
    CLANG_CL = clang_cl(os.environ.get("CC", ""))
if CLANG_CL:
    target = "arm64" if "arm64" in sysconfig.get_platform() else "x86_64"
    FLAGS += [f"--target={target}-pc-windows-msvc", "/clang:-fno-math-errno", "/clang:-fno-trapping-math"]
    # a template is compiled where it stands, within the pragma that says for which processors
    KERNEL_FLAGS += [*FLAGS[2:], "/clang:-ffp-contract=off", "/GR-", "/GS-", "-fno-delayed-template-parsing"]

ADVICE = """
fastlstm compiles C and needs Python's headers, but {header} is not there{why}.
On Debian and Ubuntu: sudo apt install python3-dev; on Fedora: sudo dnf install python3-devel
"""

NO_COMPILER = (
    "fastlstm compiles C and C++, but {compiler} could not compile a program of a few lines of {language} ({why}): "
    "install compilers for both and the headers of the C library (Debian and Ubuntu: sudo apt install g++; Fedora: "
    "sudo dnf install gcc-c++; macOS: xcode-select --install)"
)

IN_C = '#include <math.h>\n#include <stdio.h>\nint main(void) { return printf("%g", fabs(-1.0)) != 1; }\n'
IN_CXX = "template <class T> constexpr T zero = [](T x) { return x - x; }(1);\nint main() { return zero<int>; }\n"


def check_compilers() -> None:
    """Compile and link a few lines of C and C++17: what is missing is said before the long part of the build."""
    if sys.platform == "win32":
        return
    check_compiler("C", os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc", "program.c", IN_C, ["-lm"])
    compiler = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"
    check_compiler("C++", compiler, "program.cpp", IN_CXX, ["-std=c++17"])


def check_compiler(language: str, compiler: str, name: str, program: str, flags: list[str]) -> None:
    """Compile and link a program, or end the build with what is missing."""
    words = shlex.split(compiler)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, name)
        source.write_text(program)
        try:
            command = [*words, str(source), "-o", str(source.with_suffix("")), *flags]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise SystemExit(NO_COMPILER.format(compiler=words[0], language=language, why=error.strerror)) from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        why = next((line for line in said if "error" in line), said[-1]).removeprefix(f"{source}:")
        raise SystemExit(NO_COMPILER.format(compiler=words[0], language=language, why=why))


def python_headers() -> list[str]:
    """Folders to find Python.h in. Debian packs it apart from Python: if it is not installed, it is fetched."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.exists():
        return []
    release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    if "debian" not in release.get("ID_LIKE", "") + release.get("ID", ""):
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
    "freethreading_compatible": True,
}
check_compilers()
headers = python_headers()


def is_old(made: Path, sources: list[str]) -> bool:
    """Whether a file is not there, or one that it is made of is newer."""
    return not made.exists() or made.stat().st_mtime < max(Path(source).stat().st_mtime for source in sources)


class BuildKernels(build_ext):
    """Compiles the kernels of all instruction sets at the same time, with flags of their own."""

    def build_extensions(self) -> None:
        if CLANG_CL:
            self.compiler.initialize(self.plat_name)
            self.compiler.cc = CLANG_CL
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        kernels = [path for path in ext.depends if path.endswith(".cpp")]
        if kernels and (self.force or is_old(Path(self.get_ext_fullpath(ext.name)), [*ext.sources, *ext.depends])):
            with ThreadPoolExecutor() as pool:
                ext.extra_objects = list(pool.map(partial(self.kernel_object, ext), kernels))
        super().build_extension(ext)

    def kernel_object(self, ext: Extension, source: str) -> str:
        """The compiled file, in a folder for the compiler's command that stays: every Python takes it from there."""
        command = [CLANG_CL or "", *getattr(self.compiler, "compiler_so_cxx", []), *KERNEL_FLAGS]
        folder = Path("build", f"kernels-{hashlib.sha256(shlex.join(command).encode()).hexdigest()[:8]}")
        made = Path(folder, source).with_suffix(self.compiler.obj_extension)
        if self.force or is_old(made, ext.depends):
            self.compiler.compile([source], str(folder), extra_postargs=KERNEL_FLAGS)
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
        extra_link_args=LINK_FLAGS,
    )
    for source in sorted(KERNELS.glob("*.pyx"))
]
# What Cython's typed views need stands in a module of its own instead of in each: a megabyte less.
SHARED = "fastlstm._kernels._fastlstm_cython"
shared = [str(KERNELS / "_fastlstm_cython.c")]
extensions.append(Extension(SHARED, shared, extra_compile_args=FLAGS, extra_link_args=LINK_FLAGS))


def is_by_this_cython(made: Path) -> bool:
    """Whether a file of C is there, no older than what it is made of, and made by the version that is installed.

    Cython asks whether its own files are older, too, which are new wherever pip builds: it would make all C again, and
    the compiler all of that, each time.
    """
    sources = ["setup.py", *(str(path) for kind in ("*.pyx", "*.pxd") for path in KERNELS.glob(kind))]
    if is_old(made, sources):
        return False
    with made.open(encoding="utf-8") as file:
        return file.readline() == f"/* Generated by Cython {Cython.__version__} */\n"


in_c = [Path(extension.sources[0]).with_suffix(".c") for extension in extensions]
if all(map(is_by_this_cython, in_c)):
    for extension, made in zip(extensions, in_c, strict=True):
        extension.sources[0] = str(made)
else:
    extensions = cythonize(extensions, compiler_directives=directives, shared_utility_qualified_name=SHARED)
setup(
    ext_modules=extensions,
    cmdclass={"build_ext": BuildKernels},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
