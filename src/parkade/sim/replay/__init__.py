"""What the marketplace does to a real fleet: a trace and a scenario in, figures and a report out.

`scenario` what is asked · `tables`, `traces`, `quotes` data as values · `demand` what is wanted at
each minute · `guests` how lent work behaves · `market` the production core over the trace ·
`shared_pool` the fleets it is compared with · `tally` what is counted, alike for all · `resale` all
of them side by side · `parking` the arithmetic of one owner · `report` figures for people.

Nothing of the market is decided here: commands go to `decide`, events to `evolve`.
"""
