"""Tools for whoever runs Hagukumi: `python -m shared.ops --help`."""
