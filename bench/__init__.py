"""What `make bench` runs: our work beside its raw ceiling, in the same run, on the same machine."""
