"""The control plane: one writer that decides and commits, and what follows from its commits.

`plane` is the face; `cycle` is the heart, free of threads and clocks; `writer` drives it.
"""
