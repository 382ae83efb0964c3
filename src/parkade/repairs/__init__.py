"""What an agent does with a sick node: configured commands, shipped checks, simulated repairs.

The contract of a command: it gets PARKADE_ORDER, PARKADE_REPAIR, PARKADE_NODE, PARKADE_GRADE
(`short` or `long`, of a validation) and PARKADE_DEVICE (empty: the whole node); it exits with 0
where the repair was done or the check passed, and with anything else where not; the last line of
its output may be a JSON object whose `says` tells people why.
"""
