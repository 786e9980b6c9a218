"""What goes in and out by the public API, by what it is about; `table` says which operation takes and gives what."""
