"""Plots as values: one `Chart`, written as SVG by this package or as PNG by matplotlib.

`chart` what is drawn · `ticks` where axes are marked · `svg` needs nothing installed · `png` needs
`pip install 'parkade[plots]'`
"""
