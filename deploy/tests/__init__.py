"""Tests of the files that put Hagukumi somewhere."""
