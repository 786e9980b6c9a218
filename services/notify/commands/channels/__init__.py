"""The ways out of the house, one file each: the provider's published protocol, and what its answers mean."""
