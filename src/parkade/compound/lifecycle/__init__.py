"""Training and inference compute together: which model size, and how many samples a query.

`scaling` the loss of a model of given size and data · `demand` the cheapest size over a model's
life · `models` trained models that are compared at equal coverage
"""
