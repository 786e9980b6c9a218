"""records: the record of each child, whole and for life; it belongs to the child, not to a municipality."""
