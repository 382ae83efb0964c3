"""Decides what each spot winner pays: its critical value.

| question | file |
|---|---|
| the price of each winner | `critical_values` |
| the market without one bid, as differences to the market with it | `counterfactuals` |
| these questions for all bids of one fabric at once | `sweep`, over the index of `floor_index` |
"""
