"""What others would write for the same work, to be measured against."""
