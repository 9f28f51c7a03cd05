"""The shared library of all services of Meno. It contains no table and no use case of a service."""
