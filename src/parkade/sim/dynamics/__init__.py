"""What the market's rules do to people over days: a drawn demand through the production core.

`demand` what people, owners and machines want · `opening` the market · `runner` a job on its seats
· `day` all of them around the core · `measure` raw sums · `figures` what is told · `ranges` kept
figures that a change of the rules is held against
"""
