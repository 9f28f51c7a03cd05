"""Users, sign-in, classes and memberships, administration and the audit log."""
