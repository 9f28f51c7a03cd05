"""The checks of `make check`: code, contracts, prose, names and generated pages."""
