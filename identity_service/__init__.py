"""People, sign-in, classes and memberships."""
