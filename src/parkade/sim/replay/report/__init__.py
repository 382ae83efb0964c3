"""A replay's figures as one HTML file: it loads nothing and opens anywhere.

`charts` figures as plots · `tables` figures as rows · `page` the file
"""
