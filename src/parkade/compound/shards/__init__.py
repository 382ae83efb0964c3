"""A run over many workers that share a folder: shards, leases, one budget, one merge.

`entries` are what happened, `state` what follows from them, `log` their one order, `board` both
together; `folder` knows the files, `worker` works, `merging` makes one run of all shards.
"""
