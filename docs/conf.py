"""The site, built by ``.ci/docs``: Sphinx, for its index of every name, which docstrings and pages are linked by."""

import os
import sys
from pathlib import Path

import fastlstm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import public  # noqa: E402
from numpydoc import xref  # noqa: E402

project = "fastlstm"
author = "The fastlstm developers"
copyright = author
built = os.environ.get("DOCS_VERSION", fastlstm.__version__).removeprefix("v")  # a branch, or the tag of a release
version = release = f"{built} (development)" if built == "main" else built

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "reference",
    "pages",
]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["_ext", "pictures", "**.json"]
suppress_warnings = ["myst.header"]  # a page may begin below its first heading

default_role = "mentioned"
smartquotes = False  # many a quoted word is a string
highlight_language = "none"  # a block without a language is a formula, a command or what was printed
numpydoc_show_class_members = False
numpydoc_xref_param_type = True  # a class of ours leads to its page, and no other word of a type anywhere
numpydoc_xref_aliases = {
    word: path for word, path in public.targets().items() if word.isidentifier() and word[0].isupper()
}
numpydoc_xref_ignore = "all"
xref.DEFAULT_LINKS.clear()  # they lead to other sites

myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "docs-cache")
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars

html_theme = "pydata_sphinx_theme"
html_title = f"fastlstm {release}"
html_static_path = ["_static"]
html_css_files = ["fastlstm.css"]
html_sidebars = {page: [] for page in ("index", "start", "how-to", "lstm", "benchmarks")}  # they have no pages below
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": html_title},
    "header_links_before_dropdown": 9,
    "navbar_persistent": ["search-button"],  # the icon alone: beside nine sections there is no room for a field
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if url := os.environ.get("DOCS_URL"):  # where versions.py puts this site beside those of other versions
    html_theme_options |= {
        "logo": {"text": "fastlstm"},  # the switcher beside it names the version
        "switcher": {"json_url": f"{url.rstrip('/')}/switcher.json", "version_match": built},
        "check_switcher": False,  # the list is written after the build
        "show_version_warning_banner": True,
        "navbar_start": ["navbar-logo", "version-switcher"],
    }
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
