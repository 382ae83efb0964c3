"""What a Slurm cluster could have lent, from what its accounting already holds.

`asking` the commands that an operator runs · `lines`, `values` text as values, within bounds ·
`sacct`, `sinfo` the two files · `jobs`, `fleet`, `kinds` what they hold · `policy` the cluster's
own scheduling, replayed · `accuracy` its error against the trace · `entitlements` what each account
owns · `idle` what stood idle · `asks` the part of the trace that the market plays · `lending` that
play, on the shipped core · `figures`, `tables`, `page` the report · `observing` all in order.

Nothing is sent anywhere, and nothing of the cluster is touched.
"""
