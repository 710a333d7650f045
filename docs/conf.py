"""Sphinx's settings. The pages are the Markdown files of the repository, as a code-hosting site shows them.

    sphinx-build -W --keep-going -c docs . build/html

The source directory is the repository itself, so that links between README, docs and bench hold as they are.
"""

import warnings

import diabolo

project = "diabolo"
author = "The diabolo developers"
copyright = "The diabolo developers"
version = release = diabolo.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "bench/README.md"]
exclude_patterns = ["build", "dist", "results", ".*", "**/.*", "docs/_templates"]
templates_path = ["_templates"]

# Anchors as code-hosting sites make them, down to the third level of headings.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say what types mean
autodoc_member_order = "bysource"
default_role = "autolink"
numpydoc_show_class_members = False  # the templates do
# Left out of numpydoc's checks: the order of sections, mood and length of summaries (GL03, SS05, SS06);
# "Returns" of what returns nothing new, types that say enough (RT01, RT03, RT04, RT05, PR07); sections
# for where they help (SA01, SA04, ES01, EX01); and that "n_components, ..., verbose" stand for the
# parameters of another class, or that parameters are told in another order than they are passed in, which
# is by keyword (PR01 to PR04).
numpydoc_validation_checks = {
    "all",
    "ES01",
    "EX01",
    "GL01",
    "GL03",
    "GL08",
    "PR01",
    "PR02",
    "PR03",
    "PR04",
    "PR07",
    "RT01",
    "RT03",
    "RT04",
    "RT05",
    "SA01",
    "SA04",
    "SS05",
    "SS06",
}
numpydoc_validation_exclude = {r"\.__init__$"}  # described by their class

html_theme = "pydata_sphinx_theme"
html_title = "diabolo"
# All pages stand in the sidebar under the captions of docs/index.md; the theme's own would repeat them in the
# header, without captions and most of them behind a button.
html_theme_options = {"show_toc_level": 2, "navigation_depth": 3, "navbar_center": []}
html_sidebars = {"**": ["all-pages.html"]}
html_show_sourcelink = False
html_additional_pages = {"index": "to_docs.html"}  # the site's address itself leads to docs/index.html

sphinx_gallery_conf = {
    "examples_dirs": "examples/gallery",
    "gallery_dirs": "docs/gallery",
    "filename_pattern": r"/plot_",
    "remove_config_comments": True,
    "download_all_examples": False,
    "plot_gallery": "True",
    "abort_on_example_error": True,
    "show_signature": False,
    "capture_repr": (),
    "write_computation_times": False,  # they would lie in the repository's root
}

warnings.filterwarnings("error", module="__main__")  # an example's
