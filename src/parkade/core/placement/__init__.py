"""What fits where: room counted by fabric, gangs, and the packing of shared nodes."""
