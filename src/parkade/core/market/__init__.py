"""Clears one market: who wins, what each winner pays, where it sits, and what owners are owed.

`clear.clear(MarketState) -> Clearing` is the door. Behind it, in the order in which they run:

| question | file |
|---|---|
| what a clearing may look at | `market_state`, indexed by number in `layout` |
| who goes before whom | `priority` |
| who wins | `allocation`, in two stages: `reserved` (owners and on-demand), then `spot` |
| the floors that spot stands on | `supply` |
| what winners pay | `prices.critical_values`, by the sweep of `prices.sweep` |
| where they sit | `seating.seat`, with the other files of that package |
| what owners are owed | `revenue_shares` |
| what comes out | `outcome` |
| what is known from the last clearings | `remembered` |
"""
