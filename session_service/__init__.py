"""Study sessions and what happened in them."""
