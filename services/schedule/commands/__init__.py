"""What schedule does, a file for each thing that somebody wants of it."""
