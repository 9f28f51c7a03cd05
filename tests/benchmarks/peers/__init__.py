"""Implementations of the same reads in FastAPI and SQLAlchemy, as baselines of the benchmarks."""
