"""How Sphinx reads the pages: `tools/site/build.py` gathers them first."""

from parkade import __version__

project = "Parkade"
version = release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Parkade"
html_copy_source = False
html_show_sourcelink = False
# GitHub's anchors, which the pages link to.
myst_heading_anchors = 6
# Quotation marks are typed as they are meant: much of the text is what a terminal shows.
smartquotes = False
# Output of a terminal is no language that a highlighter could read without complaint.
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure", "myst.header"]
