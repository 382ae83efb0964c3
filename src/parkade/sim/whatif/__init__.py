"""What if: the journal of a real marketplace, decided again under other terms.

`guesses` which command an event may come from · `explain` a journal as commands, deadlines and
clearings · `again` the same commands decided once more · `change` other terms · `programs` how each
workload behaved · `counterfactual` the journal's demand under other terms · `names` what its
objects are called there · `counting` figures of any run · `comparing` their difference · `report`
tables, charts and the page
"""
