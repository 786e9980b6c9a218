"""What every service may import: the protocol of writing, announcing and reading, once."""
