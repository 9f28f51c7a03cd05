"""The shared library of all services of Meno. It contains no table and no use case of a service."""

import os

# Before gRPC is used. Its fork handlers would run in a forked process until that executes its program, and would
# read from the connections of the service, which then break.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
