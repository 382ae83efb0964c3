"""The arithmetic of many model calls: pure formulas over plain numbers, each with its source.

Symbols used throughout: p is the chance that one sample is right, `tpr` that a right one is
accepted, `fpr` that a wrong one is accepted, K the number of samples. Nothing here reads a file,
draws a number (but the bootstrap, from its seed) or needs numpy.

`selection` verified best of K · `reward` what false positives cost · `stopping` when to stop ·
`counting` estimates from recorded samples · `coverage` a Beta spread of p · `voting` majorities ·
`knockout` tournaments · `mixing` models under a budget · `intervals` · `special`
"""
