"""Instance types, nodes, fabrics and markets: what there is to sell."""
