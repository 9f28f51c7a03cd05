"""What is examined of a stack, running or not, and what to do about what is found. Nothing is changed."""
